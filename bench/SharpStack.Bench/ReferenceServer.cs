using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace SharpStack.Bench;

/// <summary>The reference: the same web server, answering every request with a constant of the size that the path names.</summary>
internal static class ReferenceServer
{
    public static async Task RunAsync(int port)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.ListenLocalhost(port));
        var app = builder.Build();
        var bodies = new System.Collections.Concurrent.ConcurrentDictionary<string, byte[]>();
        app.Run(async context =>
        {
            await context.Request.Body.CopyToAsync(Stream.Null);
            var body = bodies.GetOrAdd(context.Request.Path.Value!, path =>
            {
                var constant = new byte[int.TryParse(path.AsSpan(1), out var size) ? size : 100];
                Array.Fill(constant, (byte)'x');
                return constant;
            });
            context.Response.ContentType = "application/json";
            context.Response.ContentLength = body.Length;
            await context.Response.Body.WriteAsync(body);
        });
        await app.RunAsync();
    }
}
