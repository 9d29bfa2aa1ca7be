using System.Net;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;

namespace SharpStack.Nova.Compute.Images;

/// <summary>Where images come from.</summary>
internal interface IImageSource
{
    /// <summary>Opens an image's data.</summary>
    /// <exception cref="ComputeException">There is no such image, or no data in it.</exception>
    Task<Stream> OpenAsync(string id, CancellationToken cancellationToken);
}

/// <summary>Glance, with the service's credentials of <c>[glance]</c>.</summary>
internal sealed class GlanceImages(ServiceClients clients, ServiceConfig config) : IImageSource
{
    public async Task<Stream> OpenAsync(string id, CancellationToken cancellationToken)
    {
        var response = await clients.For(config, "glance", "image")
            .SendAsync(HttpMethod.Get, $"/v2/images/{Uri.EscapeDataString(id)}/file", cancellationToken: cancellationToken);
        if (response.StatusCode == HttpStatusCode.OK)
        {
            return new ResponseStream(response, await response.Content.ReadAsStreamAsync(cancellationToken));
        }

        using (response)
        {
            throw response.StatusCode switch
            {
                HttpStatusCode.NotFound or HttpStatusCode.Forbidden or HttpStatusCode.Gone => new ComputeException($"Image {id} could not be found: it was deleted or is not shared with the service."),
                HttpStatusCode.NoContent => new ComputeException($"Image {id} has no data: upload it again with `openstack image create --file`."),
                _ => CloudException.Unavailable($"Glance answered {(int)response.StatusCode} for the data of image {id}."),
            };
        }
    }

    /// <summary>Ends the answer with its stream.</summary>
    private sealed class ResponseStream(HttpResponseMessage response, Stream inner) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => inner.ReadAsync(buffer, cancellationToken);

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            inner.ReadAsync(buffer, offset, count, cancellationToken);

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                inner.Dispose();
                response.Dispose();
            }

            base.Dispose(disposing);
        }
    }
}
