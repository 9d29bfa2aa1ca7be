using System.Globalization;
using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.AllocationCandidates;

/// <summary><c>GET /allocation_candidates</c>.</summary>
internal sealed class AllocationCandidateApi(ProviderIndex index, ServiceConfig config)
{
    private const string List = "placement:allocation_candidates:list";

    public static readonly PolicyRule[] Policies = [PlacementPolicy.Reading(List, "List allocation candidates.")];

    private readonly bool randomize = config.Get(PlacementOptions.RandomizeAllocationCandidates);

    public void Map(ApiRoutes routes) => routes.Get("/allocation_candidates", ListAsync).Policy(List).Versions("1.10");

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        var query = Read(context);
        CandidateResult result;
        try
        {
            result = await index.SearchAsync((providers, names) => CandidateSearch.Find(query, providers, names, context.Aborted), context.Aborted);
        }
        catch (UnknownNameException unknown)
        {
            throw CloudException.BadRequest(
                unknown.IsTrait ? unknown.Message : $"Invalid resource class in resources parameter: {unknown.Message}");
        }

        var requested = query.Groups.Values.SelectMany(group => group.Resources).Select(resource => resource.ResourceClass).ToHashSet();
        await context.SendAsync(json => Write(json, result, requested, context.Version));
    }

    private CandidateQuery Read(ApiContext context)
    {
        var version = context.Version;
        context.CheckQuery(name => name switch
        {
            "limit" => version.AtLeast(16),
            "group_policy" => version.AtLeast(25),
            "root_required" => version.AtLeast(35),
            "same_subtree" => version.AtLeast(36),
            _ => RequestGroup.IsKey(name, version),
        });
        if (!version.AtLeast(25) && !context.Query.Has("resources"))
        {
            throw CloudException.BadRequest("Invalid query string parameters: 'resources' is a required property");
        }

        var subtrees = context.Query.All("same_subtree").Select(value => (value ?? "").Split(',', StringSplitOptions.TrimEntries).ToHashSet()).ToList();
        if (subtrees.Exists(set => set.Contains("")))
        {
            throw CloudException.BadRequest("Empty string (unsuffixed group) can not be specified in `same_subtree` ", ErrorCodes.BadQueryValue);
        }

        var (rootRequired, rootForbidden) = ReadRoot(context);
        var limit = ReadLimit(context);
        var policy = context.Query["group_policy"];
        if (policy is not (null or "none" or "isolate"))
        {
            throw CloudException.BadRequest($"Invalid query string parameters: '{policy}' is not one of ['none', 'isolate']");
        }

        var groups = RequestGroup.Read(context, subtrees);
        return policy is null && groups.Values.Count(group => group.OneProvider) > 1
            ? throw CloudException.BadRequest("The \"group_policy\" parameter is required when specifying more than one \"resources{N}\" parameter.")
            : new CandidateQuery
            {
                Groups = groups,
                Limit = limit,
                Isolate = policy == "isolate",
                RootRequired = rootRequired,
                RootForbidden = rootForbidden,
                SameSubtrees = subtrees,
                Nested = version.AtLeast(29),
                Randomize = randomize,
            };
    }

    private static int? ReadLimit(ApiContext context)
    {
        var values = context.Query.All("limit");
        if (values.Count == 0)
        {
            return null;
        }

        foreach (var value in values)
        {
            if (string.IsNullOrEmpty(value) || value[0] == '0' || value.AsSpan().ContainsAnyExceptInRange('0', '9'))
            {
                throw CloudException.BadRequest($"Invalid query string parameters: '{value}' does not match '^[1-9][0-9]*$'");
            }
        }

        return int.TryParse(values[0], NumberStyles.None, CultureInfo.InvariantCulture, out var limit) ? limit : int.MaxValue;
    }

    private static (List<string> Required, List<string> Forbidden) ReadRoot(ApiContext context)
    {
        var values = context.Query.All("root_required");
        if (values.Count == 0)
        {
            return ([], []);
        }

        if (values.Count > 1)
        {
            throw CloudException.BadRequest("Query parameter 'root_required' may be specified only once.", ErrorCodes.DuplicateQueryKey);
        }

        var (any, forbidden) = RequestGroup.ParseTraits(values[0] ?? "", mayForbid: true, mayChoose: false);
        var required = any.ConvertAll(set => set.First());
        var conflicts = required.Where(forbidden.Contains).ToList();
        return conflicts.Count > 0
            ? throw CloudException.BadRequest($"Conflicting required and forbidden traits found in root_required: {string.Join(", ", conflicts)}", ErrorCodes.BadQueryValue)
            : (required, [.. forbidden]);
    }

    private static void Write(Utf8JsonWriter json, CandidateResult result, HashSet<string> requested, Microversion version)
    {
        var names = result.Names;
        json.WriteStartObject();
        json.WriteStartArray("allocation_requests");
        foreach (var candidate in result.Candidates)
        {
            json.WriteStartObject();
            if (version.AtLeast(12))
            {
                WriteByProvider(json, candidate, names);
            }
            else
            {
                WriteList(json, candidate, names);
            }

            if (version.AtLeast(34))
            {
                json.WriteStartObject("mappings");
                foreach (var (suffix, nodes) in candidate.Mappings)
                {
                    json.WriteStartArray(suffix);
                    foreach (var node in nodes)
                    {
                        json.WriteStringValue(node.Uuid);
                    }

                    json.WriteEndArray();
                }

                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartObject("provider_summaries");
        var only = version.AtLeast(27) ? null : requested.Select(names.ClassId).ToHashSet();
        foreach (var node in result.Providers)
        {
            json.WritePropertyName(node.Uuid);
            if (version.AtLeast(29))
            {
                json.WriteRawValue(node.Summary(names), skipInputValidation: true);
                continue;
            }

            json.WriteStartObject();
            node.WriteResources(json, names, only);
            if (version.AtLeast(17))
            {
                node.WriteTraits(json, names);
            }

            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteByProvider(Utf8JsonWriter json, Candidate candidate, Names names)
    {
        json.WriteStartObject("allocations");
        foreach (var (node, amounts) in candidate.Parts)
        {
            json.WritePropertyName(node.Uuid);
            json.WriteRawValue(amounts.Json(names), skipInputValidation: true);
        }

        json.WriteEndObject();
    }

    private static void WriteList(Utf8JsonWriter json, Candidate candidate, Names names)
    {
        json.WriteStartArray("allocations");
        foreach (var (node, amounts) in candidate.Parts)
        {
            json.WriteStartObject();
            json.WriteStartObject("resource_provider");
            json.WriteString("uuid", node.Uuid);
            json.WriteEndObject();
            json.WriteStartObject("resources");
            foreach (var (classId, amount) in amounts.Items)
            {
                json.WriteNumber(names.ClassName(classId), amount);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
