using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Glance.Images;

namespace SharpStack.Glance.Members;

/// <summary><c>/v2/images/{image_id}/members</c>.</summary>
internal sealed class MemberRoutes
{
    private readonly ImageRepository images;
    private readonly MemberRepository members;

    private MemberRoutes(IServiceProvider services)
    {
        images = services.GetRequiredService<ImageRepository>();
        members = services.GetRequiredService<MemberRepository>();
    }

    public static void Map(ApiRoutes routes, IServiceProvider services)
    {
        var self = new MemberRoutes(services);
        routes.Get("/v2/images/{image_id}/members", self.ListAsync).Policy(GlancePolicies.GetMembers, GlancePolicies.GetMember);
        routes.Post("/v2/images/{image_id}/members", self.CreateAsync).Policy(GlancePolicies.AddMember);
        routes.Get("/v2/images/{image_id}/members/{member_id}", self.ShowAsync).Policy(GlancePolicies.GetMember);
        routes.Put("/v2/images/{image_id}/members/{member_id}", self.UpdateAsync).Policy(GlancePolicies.ModifyMember);
        routes.Delete("/v2/images/{image_id}/members/{member_id}", self.DeleteAsync).Policy(GlancePolicies.DeleteMember);
    }

    private async Task ListAsync(ApiContext context)
    {
        var image = await SharedAsync(context, "list");
        RequireOr(context, GlancePolicies.GetMembers, image, $"Not allowed to list members for image {image.Row.Id}.");
        // A member sees its own membership only.
        var rows = (await members.ListAsync(image.Row.Id, context.Aborted)).Where(row => image.Member is null || row.Member == image.Member);
        await context.WriteJsonAsync(StatusCodes.Status200OK, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("members");
            foreach (var row in rows)
            {
                Write(json, row);
            }

            json.WriteEndArray();
            json.WriteString("schema", "/v2/schemas/members");
            json.WriteEndObject();
        });
    }

    private async Task CreateAsync(ApiContext context)
    {
        var body = await context.ReadJsonAsync();
        if (body.ValueKind != JsonValueKind.Object)
        {
            throw CloudException.BadRequest("Expected a member in the form: {\"member\": \"image_id\"}");
        }

        if (!body.TryGetProperty("member", out var member))
        {
            throw CloudException.BadRequest("Member to be added not specified");
        }

        if (member.ValueKind != JsonValueKind.String || member.GetString() is not { Length: > 0 and <= 255 } project)
        {
            throw CloudException.BadRequest("Member can't be empty");
        }

        var image = await SharedAsync(context, "create");
        RequireOr(context, GlancePolicies.AddMember, image, $"Not allowed to create members for image {image.Row.Id}.");
        var row = await members.AddAsync(image.Row.Id, project, context.Aborted);
        await context.WriteJsonAsync(StatusCodes.Status200OK, json => Write(json, row));
    }

    private async Task ShowAsync(ApiContext context)
    {
        var image = await images.GetAsync(context.Route("image_id"), context.Viewer(), context.Aborted);
        var member = context.Route("member_id");
        if (image.Row.Visibility != ImageVisibility.Shared || !context.Can(GlancePolicies.GetMember, image.Target()) || (image.Member is not null && image.Member != member))
        {
            throw CloudException.NotFound($"{member} not found in the member list of the image {image.Row.Id}.");
        }

        var row = await members.GetAsync(image.Row.Id, member, context.Aborted);
        await context.WriteJsonAsync(StatusCodes.Status200OK, json => Write(json, row));
    }

    private async Task UpdateAsync(ApiContext context)
    {
        var body = await context.ReadJsonAsync();
        if (body.ValueKind != JsonValueKind.Object)
        {
            throw CloudException.BadRequest("Expected a status in the form: {\"status\": \"status\"}");
        }

        if (!body.TryGetProperty("status", out var status))
        {
            throw CloudException.BadRequest("Status not specified");
        }

        var image = await SharedAsync(context, "update");
        RequireOr(context, GlancePolicies.ModifyMember, image, $"Not allowed to update members for image {image.Row.Id}.");
        var member = context.Route("member_id");
        if (image.Member is not null && image.Member != member)
        {
            throw CloudException.NotFound($"{member} not found in the member list of the image {image.Row.Id}.");
        }

        var row = await members.GetAsync(image.Row.Id, member, context.Aborted);
        var wanted = status.ValueKind == JsonValueKind.String ? status.GetString() : null;
        if (wanted is not ("pending" or "accepted" or "rejected"))
        {
            throw CloudException.BadRequest("Incorrect request: Member status must be one of: pending, accepted, rejected.");
        }

        row = await members.SetStatusAsync(row, wanted, context.Aborted);
        await context.WriteJsonAsync(StatusCodes.Status200OK, json => Write(json, row));
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var image = await SharedAsync(context, "delete");
        RequireOr(context, GlancePolicies.DeleteMember, image, $"Not allowed to delete members for image {image.Row.Id}.");
        await members.RemoveAsync(image.Row.Id, context.Route("member_id"), context.Aborted);
        await context.NoContentAsync();
    }

    private async Task<Image> SharedAsync(ApiContext context, string verb)
    {
        var image = await images.GetAsync(context.Route("image_id"), context.Viewer(), context.Aborted);
        return image.Row.Visibility == ImageVisibility.Shared
            ? image
            : throw CloudException.Forbidden($"Not allowed to {verb} members for image {image.Row.Id}: Only shared images have members.");
    }

    private static void RequireOr(ApiContext context, string rule, Image image, string message)
    {
        if (!context.Can(rule, image.Target()))
        {
            throw CloudException.Forbidden(message);
        }
    }

    private static void Write(Utf8JsonWriter json, MemberRow row)
    {
        json.WriteStartObject();
        json.WriteString("member_id", row.Member);
        json.WriteString("image_id", row.ImageId);
        json.WriteString("status", row.Status);
        json.WriteString("created_at", Timestamps.Seconds(row.CreatedAt));
        json.WriteString("updated_at", Timestamps.Seconds(row.UpdatedAt));
        json.WriteString("schema", "/v2/schemas/member");
        json.WriteEndObject();
    }
}
