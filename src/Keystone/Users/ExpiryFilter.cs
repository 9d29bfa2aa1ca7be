using System.Globalization;
using LinqToDB;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Users;

/// <summary><c>?password_expires_at=lt:2026-01-31T00:00:00Z</c>: users by when their password ends.</summary>
internal static class ExpiryFilter
{
    public static IQueryable<UserRow> Apply(ApiContext context, DataConnection db, IQueryable<UserRow> query)
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
            var current = db.Passwords().Where(p => !db.Passwords().Any(q => q.UserId == p.UserId && q.Id > p.Id));
            var ending = comparison switch
            {
                "lt" => current.Where(p => p.ExpiresAt < at),
                "lte" => current.Where(p => p.ExpiresAt <= at),
                "gt" => current.Where(p => p.ExpiresAt > at),
                "gte" => current.Where(p => p.ExpiresAt >= at),
                "eq" => current.Where(p => p.ExpiresAt == at),
                "neq" => current.Where(p => p.ExpiresAt != null && p.ExpiresAt != at),
                _ => throw CloudException.BadRequest(
                    $"The given operator {comparison} is not valid. It must be one of the following: 'eq', 'neq', 'lt', 'lte', 'gt', or 'gte'."),
            };
            query = query.Where(u => ending.Any(p => p.UserId == u.Id));
        }
        return query;
    }
}
