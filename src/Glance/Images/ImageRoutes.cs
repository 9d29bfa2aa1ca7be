using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Extensions;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Glance.Imports;
using SharpStack.Glance.Storage;
using SharpStack.Glance.Stores;

namespace SharpStack.Glance.Images;

/// <summary><c>/v2/images</c>: create, list, show, update, delete, tags, deactivate and reactivate.</summary>
internal sealed class ImageRoutes
{
    private readonly ImageRepository images;
    private readonly ImageStores stores;
    private readonly StagingArea staging;
    private readonly GlanceDatabase database;
    private readonly ImageSchema schema;
    private readonly GlanceConfig config;
    private readonly TimeProvider time;

    private ImageRoutes(IServiceProvider services)
    {
        images = services.GetRequiredService<ImageRepository>();
        stores = services.GetRequiredService<ImageStores>();
        staging = services.GetRequiredService<StagingArea>();
        database = services.GetRequiredService<GlanceDatabase>();
        config = services.GetRequiredService<GlanceConfig>();
        time = services.GetRequiredService<TimeProvider>();
        schema = new ImageSchema(config);
    }

    public static void Map(ApiRoutes routes, IServiceProvider services)
    {
        var self = new ImageRoutes(services);
        routes.Get("/v2/images", self.ListAsync).Policy(GlancePolicies.GetImages, GlancePolicies.GetImage);
        routes.Post("/v2/images", self.CreateAsync).Policy(GlancePolicies.AddImage, GlancePolicies.PublicizeImage, GlancePolicies.CommunitizeImage);
        routes.Get("/v2/images/{image_id}", self.ShowAsync).Policy(GlancePolicies.GetImage);
        routes.Patch("/v2/images/{image_id}", self.UpdateAsync).Policy(GlancePolicies.ModifyImage, GlancePolicies.PublicizeImage, GlancePolicies.CommunitizeImage);
        routes.Delete("/v2/images/{image_id}", self.DeleteAsync).Policy(GlancePolicies.DeleteImage);
        routes.Put("/v2/images/{image_id}/tags/{tag}", self.AddTagAsync).Policy(GlancePolicies.ModifyImage);
        routes.Delete("/v2/images/{image_id}/tags/{tag}", self.RemoveTagAsync).Policy(GlancePolicies.ModifyImage);
        routes.Post("/v2/images/{image_id}/actions/deactivate", context => self.SwitchAsync(context, GlancePolicies.Deactivate, ImageStatus.Active, ImageStatus.Deactivated)).Policy(GlancePolicies.Deactivate);
        routes.Post("/v2/images/{image_id}/actions/reactivate", context => self.SwitchAsync(context, GlancePolicies.Reactivate, ImageStatus.Deactivated, ImageStatus.Active)).Policy(GlancePolicies.Reactivate);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        var query = ImageQuery.Parse(context.Query, config.Get(GlanceOptions.LimitParamDefault), config.Get(GlanceOptions.ApiLimitMax));
        var page = query.Limit == 0 ? [] : await images.ListAsync(query, context.Viewer(), context.Aborted);
        var seen = page.Where(image => context.Can(GlancePolicies.GetImage, image.Target())).ToList();
        await context.WriteJsonAsync(StatusCodes.Status200OK, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("images");
            foreach (var image in seen)
            {
                ImageWriter.Write(json, image);
            }

            json.WriteEndArray();
            json.WriteString("first", Link(context, null));
            if (page.Count == query.Limit && seen.Count > 0)
            {
                json.WriteString("next", Link(context, page[^1].Row.Id));
            }

            json.WriteString("schema", "/v2/schemas/images");
            json.WriteEndObject();
        });
    }

    private async Task CreateAsync(ApiContext context)
    {
        var body = await context.ReadJsonAsync();
        if (body.ValueKind != JsonValueKind.Object)
        {
            throw CloudException.BadRequest("Provided object does not match schema 'image': an object such as {\"name\": …} is needed.");
        }

        schema.Validate(body);
        ImageSchema.CheckCreatable(body);
        var viewer = context.Viewer();
        var now = time.NowMicroseconds();
        var image = new Image(
            new ImageRow
            {
                Id = body.TryGetProperty("id", out var id) ? id.GetString()! : Guid.NewGuid().ToString("D"),
                Status = ImageStatus.Queued,
                Visibility = ImageVisibility.Shared,
                Owner = viewer.ProjectId,
                CreatedAt = now,
                UpdatedAt = now,
            },
            new Dictionary<string, string>(),
            new HashSet<string>(),
            null);
        foreach (var attribute in body.EnumerateObject().Where(attribute => attribute.Name != "id"))
        {
            // The policy decides on the owner below.
            image = ImagePatch.Set(image, attribute.Name, attribute.Value, isAdmin: true);
        }

        CheckQuotas(image);
        var target = PolicyTarget.Of(("project_id", image.Row.Owner), ("owner", image.Row.Owner), ("visibility", image.Row.Visibility));
        if (!context.Can(GlancePolicies.AddImage, target) || (!viewer.IsAdmin && image.Row.Owner != viewer.ProjectId))
        {
            throw image.Row.Owner != viewer.ProjectId
                ? CloudException.Forbidden($"You are not permitted to create images owned by '{image.Row.Owner}'.")
                : context.Denied(GlancePolicies.AddImage, target);
        }

        context.RequireVisibility(image.Row.Visibility, target);
        await images.AddAsync(image, context.Aborted);
        context.Http.Response.Headers.Location = $"{context.BaseUrl}/v2/images/{image.Row.Id}";
        if (config.Get(GlanceOptions.EnabledImportMethods) is { Count: > 0 } methods)
        {
            context.Http.Response.Headers["OpenStack-image-import-methods"] = string.Join(',', methods);
        }

        if (stores.Named.Count > 0)
        {
            context.Http.Response.Headers["OpenStack-image-store-ids"] = string.Join(',', stores.Named);
        }

        await context.WriteJsonAsync(StatusCodes.Status201Created, json => ImageWriter.Write(json, image));
    }

    private async Task ShowAsync(ApiContext context)
    {
        var image = await images.GetAsync(context.Route("image_id"), context.Viewer(), context.Aborted);
        context.Require(GlancePolicies.GetImage, image);
        await context.WriteJsonAsync(StatusCodes.Status200OK, json => ImageWriter.Write(json, image));
    }

    private async Task UpdateAsync(ApiContext context)
    {
        var viewer = context.Viewer();
        IReadOnlyList<ImageChange> changes;
        try
        {
            changes = ImageChange.Read(context.Http.Request.ContentType, await context.ReadJsonAsync(), schema);
        }
        catch (CloudException failure) when (failure.Kind == ErrorKind.UnsupportedMediaType)
        {
            context.Http.Response.Headers["Accept-Patch"] = ImageChange.Accepted;
            throw;
        }

        var image = await images.ChangeAsync(
            context.Route("image_id"),
            viewer,
            before =>
            {
                context.Require(GlancePolicies.ModifyImage, before);
                var after = before;
                foreach (var change in changes)
                {
                    after = ImagePatch.Apply(after, change, viewer.IsAdmin);
                }

                if (after.Row.Visibility != before.Row.Visibility)
                {
                    context.RequireVisibility(after.Row.Visibility, before.Target());
                }

                CheckQuotas(after);
                return after;
            },
            context.Aborted);
        await context.WriteJsonAsync(StatusCodes.Status200OK, json => ImageWriter.Write(json, image));
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var image = await images.DeleteAsync(
            context.Route("image_id"),
            context.Viewer(),
            image =>
            {
                context.Require(GlancePolicies.DeleteImage, image);
                if (image.Row.Protected)
                {
                    throw CloudException.Forbidden($"Image {image.Row.Id} is protected and cannot be deleted.");
                }
            },
            context.Aborted);
        staging.Remove(image.Row.Id);
        if (image.Row.Location is not null)
        {
            // The answer does not wait for a client that has gone away; the next start does what is left.
            await stores.ForgetAsync(database, image.Row.Id, image.Row.Store, image.Row.Location, CancellationToken.None);
        }

        await context.NoContentAsync();
    }

    private async Task AddTagAsync(ApiContext context)
    {
        var tag = context.Route("tag");
        if (tag.Length > 255)
        {
            throw CloudException.BadRequest("Could not update image: a tag has at most 255 characters.");
        }

        await images.ChangeAsync(
            context.Route("image_id"),
            context.Viewer(),
            image =>
            {
                context.Require(GlancePolicies.ModifyImage, image);
                var after = image.Tags.Contains(tag) ? image : image with { Tags = new HashSet<string>(image.Tags, StringComparer.Ordinal) { tag } };
                CheckQuotas(after);
                return after;
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task RemoveTagAsync(ApiContext context)
    {
        var tag = context.Route("tag");
        await images.ChangeAsync(
            context.Route("image_id"),
            context.Viewer(),
            image =>
            {
                context.Require(GlancePolicies.ModifyImage, image);
                var left = new HashSet<string>(image.Tags, StringComparer.Ordinal);
                return left.Remove(tag) ? image with { Tags = left } : throw CloudException.NotFound($"Image {image.Row.Id} has no tag {tag}.");
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task SwitchAsync(ApiContext context, string rule, string from, string to)
    {
        await images.ChangeAsync(
            context.Route("image_id"),
            context.Viewer(),
            image =>
            {
                context.Require(rule, image);
                return image.Row.Status == from ? image with { Row = image.Row with { Status = to } }
                    : image.Row.Status == to ? image
                    : throw CloudException.Forbidden($"Not allowed to {rule} image in status '{image.Row.Status}'");
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private void CheckQuotas(Image image)
    {
        static void Check(int attempted, int maximum, string what)
        {
            if (maximum >= 0 && attempted > maximum)
            {
                throw new CloudException(
                    ErrorKind.PayloadTooLarge, $"The limit has been exceeded on the number of allowed image {what}. Attempted: {attempted}, Maximum: {maximum}");
            }
        }

        Check(image.Properties.Count, config.Get(GlanceOptions.ImagePropertyQuota), "properties");
        Check(image.Tags.Count, config.Get(GlanceOptions.ImageTagQuota), "tags");
    }

    private static string Link(ApiContext context, string? marker)
    {
        var query = new QueryBuilder();
        foreach (var (name, values) in context.Http.Request.Query.Where(pair => pair.Key != "marker"))
        {
            query.Add(name, values.ToArray()!);
        }

        if (marker is not null)
        {
            query.Add("marker", marker);
        }

        return "/v2/images" + query.ToQueryString();
    }
}
