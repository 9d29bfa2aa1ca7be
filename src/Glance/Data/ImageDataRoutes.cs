using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Net.Http.Headers;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Glance.Images;
using SharpStack.Glance.Stores;

namespace SharpStack.Glance.Data;

/// <summary><c>/v2/images/{image_id}/file</c>.</summary>
internal sealed class ImageDataRoutes
{
    private readonly ImageRepository images;
    private readonly ImageData data;
    private readonly ImageStores stores;

    private ImageDataRoutes(IServiceProvider services)
    {
        images = services.GetRequiredService<ImageRepository>();
        data = services.GetRequiredService<ImageData>();
        stores = services.GetRequiredService<ImageStores>();
    }

    public static void Map(ApiRoutes routes, IServiceProvider services)
    {
        var self = new ImageDataRoutes(services);
        routes.Put("/v2/images/{image_id}/file", self.UploadAsync).Policy(GlancePolicies.UploadImage);
        routes.Get("/v2/images/{image_id}/file", self.DownloadAsync).Policy(GlancePolicies.DownloadImage);
    }

    /// <summary>Refuses a body of another type than bytes, as a form would be.</summary>
    public static void RequireBytes(ApiContext context)
    {
        var type = (context.Http.Request.ContentType ?? "").Split(';')[0].Trim();
        if (!type.Equals("application/octet-stream", StringComparison.OrdinalIgnoreCase))
        {
            throw new CloudException(ErrorKind.UnsupportedMediaType, $"Invalid content type {type}: send application/octet-stream.");
        }
    }

    private async Task UploadAsync(ApiContext context)
    {
        RequireBytes(context);
        var store = context.Http.Request.Headers["X-Image-Meta-Store"].ToString();
        await data.UploadAsync(
            context.Route("image_id"),
            context.Viewer(),
            image => context.Require(GlancePolicies.UploadImage, image),
            store,
            context.Http.Request.BodyReader,
            context.Http.Request.ContentLength,
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task DownloadAsync(ApiContext context)
    {
        var viewer = context.Viewer();
        var image = await images.GetAsync(context.Route("image_id"), viewer, context.Aborted);
        if (image.Row.Status == ImageStatus.Deactivated && !viewer.IsAdmin)
        {
            throw CloudException.Forbidden("The requested image has been deactivated. Image data download is forbidden.");
        }

        context.Require(GlancePolicies.DownloadImage, image);
        if (image.Row.Location is null)
        {
            await context.NoContentAsync();
            return;
        }

        var size = image.Row.Size ?? 0;
        var response = context.Http.Response;
        var (offset, count) = (0L, size);
        if (context.Http.Request.Headers.Range is [{ Length: > 0 } asked])
        {
            (offset, count) = RangeOf(asked, size) ?? throw Unsatisfiable(response, size);
            response.StatusCode = StatusCodes.Status206PartialContent;
            response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes {offset}-{offset + count - 1}/{size}");
        }

        response.ContentType = "application/octet-stream";
        response.ContentLength = count;
        response.Headers.ContentMD5 = image.Row.Checksum;
        try
        {
            await stores.Holding(image.Row.Store).ReadAsync(image.Row.Location, offset, count, response.Body, context.Aborted);
        }
        catch (FileNotFoundException failure) when (!response.HasStarted)
        {
            throw CloudException.Unavailable($"The data of image {image.Row.Id} is not in its store: restore the file, or delete the image and upload it again.", inner: failure);
        }
    }

    /// <returns>Null where the range cannot be served.</returns>
    private static (long Offset, long Count)? RangeOf(string text, long size)
    {
        if (!RangeHeaderValue.TryParse(text, out var range) || range.Unit != "bytes" || range.Ranges.Count != 1)
        {
            return null;
        }

        var asked = range.Ranges.First();
        var from = asked.From ?? Math.Max(0, size - asked.To!.Value);
        var to = asked.From is null ? size - 1 : Math.Min(asked.To ?? long.MaxValue, size - 1);
        return from < size && from <= to ? (from, to - from + 1) : null;
    }

    private static CloudException Unsatisfiable(HttpResponse response, long size)
    {
        response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes */{size}");
        return new CloudException(ErrorKind.RangeNotSatisfiable, $"The byte range cannot be served: the image has {size} bytes, and one range of them may be asked for.");
    }
}
