using System.Globalization;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;

namespace SharpStack.Keystone.Users;

/// <summary><c>?password_expires_at=lt:2026-01-31T00:00:00Z</c>: users by when their password ends.</summary>
internal static class ExpiryFilter
{
    public static IQueryable<UserView> Apply(ApiContext context, IQueryable<UserView> query)
    {
        foreach (var text in context.Query.All("password_expires_at"))
        {
            var colon = text is null ? -1 : text.IndexOf(':', StringComparison.Ordinal);
            var (comparison, stamp) = colon is 2 or 3 ? (text![..colon], text[(colon + 1)..]) : ("eq", text ?? "");
            if (!DateTimeOffset.TryParse(stamp, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var instant)
                || !stamp.Contains('T', StringComparison.Ordinal))
            {
                throw CloudException.BadRequest(
                    "Timestamp not in expected format. The server could not comply with the request since it is either malformed or otherwise incorrect. "
                    + "The client is assumed to be in error.");
            }
            var at = Timestamps.ToMicroseconds(instant);
            query = comparison switch
            {
                "lt" => query.Where(u => u.PasswordExpiresAt < at),
                "lte" => query.Where(u => u.PasswordExpiresAt <= at),
                "gt" => query.Where(u => u.PasswordExpiresAt > at),
                "gte" => query.Where(u => u.PasswordExpiresAt >= at),
                "eq" => query.Where(u => u.PasswordExpiresAt == at),
                "neq" => query.Where(u => u.PasswordExpiresAt != null && u.PasswordExpiresAt != at),
                _ => throw CloudException.BadRequest(
                    $"The given operator {comparison} is not valid. It must be one of the following: 'eq', 'neq', 'lt', 'lte', 'gt', or 'gte'."),
            };
        }
        return query;
    }
}
