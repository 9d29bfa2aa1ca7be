using System.Text.Json;
using LinqToDB;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Glance.Data;
using SharpStack.Glance.Images;
using SharpStack.Glance.Storage;
using SharpStack.Glance.Stores;

namespace SharpStack.Glance.Imports;

/// <summary><c>stage</c>, <c>import</c>, and the tasks that tell how imports go.</summary>
internal sealed class ImportRoutes
{
    private const string GlanceDirect = "glance-direct";

    private readonly ImageRepository images;
    private readonly ImageData data;
    private readonly ImageStores stores;
    private readonly StagingArea staging;
    private readonly TaskRepository tasks;
    private readonly ImportWorker worker;
    private readonly GlanceDatabase database;
    private readonly GlanceConfig config;
    private readonly UploadClaims claims;
    private readonly TimeProvider time;

    private ImportRoutes(IServiceProvider services)
    {
        images = services.GetRequiredService<ImageRepository>();
        data = services.GetRequiredService<ImageData>();
        stores = services.GetRequiredService<ImageStores>();
        staging = services.GetRequiredService<StagingArea>();
        tasks = services.GetRequiredService<TaskRepository>();
        worker = services.GetRequiredService<ImportWorker>();
        database = services.GetRequiredService<GlanceDatabase>();
        config = services.GetRequiredService<GlanceConfig>();
        claims = services.GetRequiredService<UploadClaims>();
        time = services.GetRequiredService<TimeProvider>();
    }

    public static void Map(ApiRoutes routes, IServiceProvider services)
    {
        var self = new ImportRoutes(services);
        routes.Put("/v2/images/{image_id}/stage", self.StageAsync).Policy(GlancePolicies.ModifyImage);
        routes.Post("/v2/images/{image_id}/import", self.ImportAsync).Policy(GlancePolicies.ModifyImage);
        routes.Get("/v2/images/{image_id}/tasks", self.ImageTasksAsync).Policy(GlancePolicies.GetImage);
        routes.Get("/v2/tasks", self.TasksAsync).Policy(GlancePolicies.TasksApiAccess);
        routes.Get("/v2/tasks/{task_id}", self.TaskAsync).Policy(GlancePolicies.TasksApiAccess);
    }

    private async Task StageAsync(ApiContext context)
    {
        if (!config.Get(GlanceOptions.EnabledImportMethods).Contains(GlanceDirect))
        {
            throw CloudException.NotFound("'glance-direct' method is not available at this site.");
        }

        ImageDataRoutes.RequireBytes(context);
        var imageId = context.Route("image_id");
        var viewer = context.Viewer();
        var claim = claims.New();
        var image = await images.ChangeAsync(
            imageId,
            viewer,
            image =>
            {
                context.Require(GlancePolicies.ModifyImage, image);
                ImageData.RequireTransition(image.Row, ImageStatus.Queued, ImageStatus.Saving);
                return image with { Row = image.Row with { Status = ImageStatus.Saving, Claim = claim } };
            },
            context.Aborted);
        var staged = false;
        try
        {
            var limit = await data.LimitAsync(image.Row, context.Http.Request.ContentLength, context.Aborted);
            var size = await staging.WriteAsync(imageId, claim, context.Http.Request.BodyReader, limit, context.Aborted);
            await images.ChangeAsync(
                imageId,
                viewer,
                current => current.Row.Claim == claim
                    ? current with { Row = current.Row with { Status = ImageStatus.Uploading, Size = size } }
                    : throw CloudException.Conflict($"The image {imageId} changed while its data was staged."),
                CancellationToken.None);
            staged = true;
        }
        finally
        {
            if (!staged)
            {
                staging.Remove(imageId);
                await data.ReleaseAsync(imageId, claim);
            }
        }

        await context.NoContentAsync();
    }

    private async Task ImportAsync(ApiContext context)
    {
        var body = await context.ReadJsonAsync();
        if (body.ValueKind != JsonValueKind.Object || !body.TryGetProperty("method", out var method) || method.ValueKind != JsonValueKind.Object)
        {
            throw CloudException.BadRequest("Import request requires a 'method' field.");
        }

        if (!method.TryGetProperty("name", out var name) || name.ValueKind != JsonValueKind.String)
        {
            throw CloudException.BadRequest("Import request requires a 'name' field.");
        }

        if (name.GetString() != GlanceDirect || !config.Get(GlanceOptions.EnabledImportMethods).Contains(GlanceDirect))
        {
            throw CloudException.BadRequest($"Unknown import method name '{name.GetString()}'.");
        }

        var store = ChosenStore(context, body);
        var now = time.NowMicroseconds();
        var imageId = context.Route("image_id");
        var input = body.GetRawText();
        var task = new TaskRow
        {
            Id = Guid.NewGuid().ToString("D"),
            ImageId = imageId,
            Type = "api_image_import",
            Status = "pending",
            Owner = context.Identity.ProjectId ?? "",
            UserId = context.Identity.UserId,
            RequestId = context.RequestId,
            Input = input,
            Store = store,
            CreatedAt = now,
            UpdatedAt = now,
        };
        var viewer = context.Viewer();
        await database.Service.WriteAsync(
            async session =>
            {
                var image = await ImageRepository.FindAsync(session, imageId, viewer, context.Aborted) ?? throw ImageRepository.NotFound(imageId);
                Check(context, image);
                await session.UpdateAsync(image.Row with { Status = ImageStatus.Importing, Revision = image.Row.Revision + 1, UpdatedAt = now }, token: context.Aborted);
                await session.InsertAsync(task, token: context.Aborted);
            },
            context.Aborted);
        worker.Look(imageId);
        await context.NoContentAsync(StatusCodes.Status202Accepted);
    }

    private static void Check(ApiContext context, Image image)
    {
        context.Require(GlancePolicies.ModifyImage, image);
        if (image.Row.Status == ImageStatus.Active)
        {
            throw CloudException.Conflict("Image with status active cannot be target for import");
        }

        if (image.Row.Status != ImageStatus.Uploading)
        {
            throw CloudException.Conflict("Image needs to be staged before 'glance-direct' method can be used");
        }

        foreach (var (property, value) in new[] { ("container_format", image.Row.ContainerFormat), ("disk_format", image.Row.DiskFormat) })
        {
            if (string.IsNullOrEmpty(value))
            {
                throw CloudException.Conflict($"'{property}' needs to be set before import");
            }
        }
    }

    private string? ChosenStore(ApiContext context, JsonElement body)
    {
        var chosen = body.TryGetProperty("stores", out var list) && list.ValueKind == JsonValueKind.Array
            ? [.. list.EnumerateArray().Select(item => item.ToString())]
            : body.TryGetProperty("all_stores", out var all) && all.ValueKind == JsonValueKind.True ? stores.Named
            : context.Http.Request.Headers["X-Image-Meta-Store"].ToString() is { Length: > 0 } header ? [header] : (IReadOnlyList<string>)[];
        return chosen.Count switch
        {
            0 => stores.DefaultName,
            1 => stores.Select(chosen[0]).Name,
            _ => throw CloudException.BadRequest("An image lies in one store here: name one store."),
        };
    }

    private async Task ImageTasksAsync(ApiContext context)
    {
        var image = await images.GetAsync(context.Route("image_id"), context.Viewer(), context.Aborted);
        context.Require(GlancePolicies.GetImage, image);
        await WriteAsync(context, await tasks.ListAsync(image.Row.Id, context.Aborted));
    }

    private async Task TasksAsync(ApiContext context)
    {
        context.Enforce();
        await WriteAsync(context, await tasks.ListAsync(null, context.Aborted));
    }

    private async Task TaskAsync(ApiContext context)
    {
        context.Enforce();
        var id = context.Route("task_id");
        var task = await tasks.GetAsync(id, context.Aborted) ?? throw CloudException.NotFound($"No task found with ID {id}");
        await context.WriteJsonAsync(StatusCodes.Status200OK, task.Write);
    }

    private static Task WriteAsync(ApiContext context, IReadOnlyList<TaskRow> rows) =>
        context.WriteJsonAsync(StatusCodes.Status200OK, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("tasks");
            foreach (var row in rows)
            {
                row.Write(json);
            }

            json.WriteEndArray();
            json.WriteString("first", "/v2/tasks");
            json.WriteString("schema", "/v2/schemas/tasks");
            json.WriteEndObject();
        });
}
