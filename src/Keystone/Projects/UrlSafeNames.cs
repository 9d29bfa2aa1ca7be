using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Keystone.Projects;

/// <summary><c>[resource] project_name_url_safe</c> and <c>domain_name_url_safe</c>: names with characters that URLs reserve.</summary>
internal sealed class UrlSafeNames(ServiceConfig config)
{
    private const string Reserved = ":/?#[]@!$&'()*+,;=";

    private readonly string projects = config.Get(KeystoneOptions.ProjectNameUrlSafe);
    private readonly string domains = config.Get(KeystoneOptions.DomainNameUrlSafe);

    /// <summary>Refuses (400) a new name of a project, or of one that acts as a domain.</summary>
    public void CheckNew(string name, bool isDomain)
    {
        if (isDomain)
        {
            CheckNew(domains, "Domain", name);
        }
        // A domain is a project too: making one asks both, as in OpenStack.
        CheckNew(projects, "Project", name);
    }

    /// <summary>The same for another name of what exists: only its own kind counts.</summary>
    public void CheckRenamed(string name, bool isDomain) => CheckNew(isDomain ? domains : projects, isDomain ? "Domain" : "Project", name);

    /// <summary>Refuses (401) a log-in that names a project so.</summary>
    public void CheckProjectInUse(string name) => CheckInUse(projects, "Project", name);

    /// <summary>Refuses (401) a log-in that names a domain so.</summary>
    public void CheckDomainInUse(string name) => CheckInUse(domains, "Domain", name);

    private static void CheckNew(string mode, string kind, string name)
    {
        if (mode != "off" && string.Concat(name.Where(IsReserved)) is { Length: > 0 } found)
        {
            throw CloudException.BadRequest($"{kind} name cannot contain the following reserved characters: {found}");
        }
    }

    private static bool IsReserved(char character) => Reserved.Contains(character, StringComparison.Ordinal);

    private static void CheckInUse(string mode, string kind, string name)
    {
        if (mode == "strict" && name.Any(IsReserved))
        {
            throw CloudException.Unauthorized($"{kind} name cannot contain reserved characters.");
        }
    }
}
