using System.Globalization;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;

namespace SharpStack.Neutron.Api;

/// <summary>What all routes share.</summary>
internal static class NeutronApi
{
    public static Caller CallerOf(ApiContext context)
    {
        var isAdmin = context.Can("context_is_admin");
        return new Caller(context.Identity.ProjectId, isAdmin, isAdmin || context.Can("context_is_advsvc"));
    }

    /// <summary><c>If-Match: revision_number=5</c>; null where there is none.</summary>
    public static long? WantedRevision(ApiContext context)
    {
        long? wanted = null;
        foreach (var part in context.Http.Request.Headers.IfMatch.SelectMany(value => (value ?? "").Split(',', StringSplitOptions.TrimEntries)))
        {
            const string prefix = "revision_number=";
            var tag = part.Trim('"');
            if (!tag.StartsWith(prefix, StringComparison.Ordinal))
            {
                continue;
            }

            if (wanted is not null)
            {
                throw NeutronErrors.BadRequest("if-match", "Multiple revision_number etags are not supported");
            }

            wanted = long.TryParse(tag.AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                ? number : throw NeutronErrors.BadRequest("if-match", "Revision number etag must be in the format of revision_number=<int>");
        }

        return wanted;
    }

    public static void CheckRevision(long? wanted, long current)
    {
        if (wanted is not null && wanted != current)
        {
            throw new CloudException(ErrorKind.PreconditionFailed, $"Constrained to {wanted}, but current revision is {current}", "RevisionNumberConstraintFailed");
        }
    }
}
