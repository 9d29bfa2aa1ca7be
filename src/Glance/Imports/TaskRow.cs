using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Mapping;
using SharpStack.Foundation.Storage;
using SharpStack.Glance.Storage;

namespace SharpStack.Glance.Imports;

/// <summary>An import, as users follow it.</summary>
[Table("tasks")]
internal sealed record TaskRow
{
    public const string Processing = "processing";
    public const string Success = "success";
    public const string Failure = "failure";

    [PrimaryKey, Column("id")]
    public required string Id { get; init; }

    [Column("image_id")]
    public required string ImageId { get; init; }

    [Column("type")]
    public required string Type { get; init; }

    /// <summary><c>pending</c>, <c>processing</c>, <c>success</c> or <c>failure</c>.</summary>
    [Column("status")]
    public required string Status { get; init; }

    [Column("owner")]
    public required string Owner { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    [Column("request_id")]
    public required string RequestId { get; init; }

    /// <summary>The import request's JSON.</summary>
    [Column("input")]
    public required string Input { get; init; }

    [Column("store")]
    public string? Store { get; init; }

    [Column("message")]
    public string Message { get; init; } = "";

    [Column("created_at")]
    public long CreatedAt { get; init; }

    [Column("updated_at")]
    public long UpdatedAt { get; init; }

    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id", Id);
        json.WriteString("image_id", ImageId);
        json.WriteString("request_id", RequestId);
        json.WriteString("user_id", UserId);
        json.WriteString("type", Type);
        json.WriteString("status", Status);
        json.WriteString("owner", Owner);
        json.WriteNull("expires_at");
        json.WriteString("created_at", Timestamps.Seconds(CreatedAt));
        json.WriteString("updated_at", Timestamps.Seconds(UpdatedAt));
        json.WriteNull("deleted_at");
        json.WriteBoolean("deleted", false);
        json.WriteStartObject("input");
        json.WriteString("image_id", ImageId);
        json.WritePropertyName("import_req");
        json.WriteRawValue(Input);
        json.WriteStartArray("backend");
        json.WriteStringValue(Store);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteNull("result");
        json.WriteString("message", Message);
        json.WriteString("self", $"/v2/tasks/{Id}");
        json.WriteString("schema", "/v2/schemas/task");
        json.WriteEndObject();
    }
}

internal sealed class TaskRepository(GlanceDatabase database, TimeProvider time)
{
    public async Task<IReadOnlyList<TaskRow>> ListAsync(string? imageId, CancellationToken cancellationToken)
    {
        using var session = database.Service.Read();
        return await session.GetTable<TaskRow>().Where(row => imageId == null || row.ImageId == imageId).OrderByDescending(row => row.CreatedAt).ThenBy(row => row.Id).Take(1000).ToListAsync(cancellationToken);
    }

    public async Task<TaskRow?> GetAsync(string id, CancellationToken cancellationToken)
    {
        using var session = database.Service.Read();
        return await session.GetTable<TaskRow>().FirstOrDefaultAsync(row => row.Id == id, cancellationToken);
    }

    /// <summary>The import that is to be done for an image, the newest.</summary>
    public async Task<TaskRow?> OpenAsync(string imageId, CancellationToken cancellationToken)
    {
        using var session = database.Service.Read();
        return await session.GetTable<TaskRow>().Where(row => row.ImageId == imageId && (row.Status == "pending" || row.Status == "processing"))
            .OrderByDescending(row => row.CreatedAt).FirstOrDefaultAsync(cancellationToken);
    }

    public Task SetAsync(string id, string status, string message) =>
        database.Service.WriteAsync(session => session.GetTable<TaskRow>().Where(row => row.Id == id)
            .Set(row => row.Status, status).Set(row => row.Message, message).Set(row => row.UpdatedAt, time.NowMicroseconds()).UpdateAsync());
}
