using System.Text.RegularExpressions;
using SharpStack.Foundation.Http;

namespace SharpStack.Keystone;

/// <summary>Types that several of Keystone's bodies share.</summary>
internal static partial class Schemas
{
    public static JsonSchema Id { get; } = JsonSchema.String(1, 64, IdPattern());

    /// <summary>The id of a user, which another directory may have given.</summary>
    public static JsonSchema ExternalId { get; } = JsonSchema.String(1, 64);

    public static JsonSchema Name { get; } = JsonSchema.String(1, 255, VisiblePattern());

    public static JsonSchema ProjectName { get; } = JsonSchema.String(1, 64, VisiblePattern());

    public static JsonSchema Text { get; } = JsonSchema.String();

    public static JsonSchema Url { get; } = JsonSchema.String(0, 225, UrlPattern());

    public static JsonSchema Tag { get; } = JsonSchema.String(1, 255, TagPattern());

    public static JsonSchema Tags { get; } = JsonSchema.Array(Tag, max: 80, unique: true);

    /// <summary>Roles, each by its id or by its name.</summary>
    public static JsonSchema RoleReferences { get; } = JsonSchema.Array(JsonSchema.Object(false, ("id", Id), ("name", Name)) with { MinProperties = 1, MaxProperties = 1 });

    public static JsonSchema ImmutableOption { get; } = JsonSchema.Object(false, ("immutable", JsonSchema.Boolean.OrNull()));

    /// <summary><c>{"user": {…}}</c>; other members beside it are ignored, as Keystone does.</summary>
    public static JsonSchema Envelope(string member, JsonSchema inner) => JsonSchema.Object(true, (member + "!", inner));

    /// <summary>A body for changes: the same properties, none required, at least one given.</summary>
    public static JsonSchema Update(this JsonSchema create) => create with { Required = [], MinProperties = 1 };

    [GeneratedRegex("^[a-zA-Z0-9-]+$")]
    private static partial Regex IdPattern();

    [GeneratedRegex(@"[\S]+")]
    private static partial Regex VisiblePattern();

    [GeneratedRegex("^[a-zA-Z0-9+.-]+:.+")]
    private static partial Regex UrlPattern();

    [GeneratedRegex("^[^,/]*$")]
    private static partial Regex TagPattern();
}
