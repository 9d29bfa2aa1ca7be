using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;

namespace SharpStack.Glance.Images;

/// <summary>Policies on images: what may not be seen is answered as if it were not there.</summary>
internal static class ImageAccess
{
    public static Viewer Viewer(this ApiContext context) => new(context.Identity.ProjectId, context.Can(GlancePolicies.ContextIsAdmin));

    public static PolicyTarget Target(this Image image) => PolicyTarget.Of(
        ("project_id", image.Row.Owner),
        ("owner", image.Row.Owner),
        ("visibility", image.Row.Visibility),
        ("member_id", image.Member),
        ("image_id", image.Row.Id),
        ("status", image.Row.Status));

    public static void Require(this ApiContext context, string rule, Image image)
    {
        var target = image.Target();
        if (context.Can(rule, target))
        {
            return;
        }

        throw rule == GlancePolicies.GetImage || !context.Can(GlancePolicies.GetImage, target)
            ? ImageRepository.NotFound(image.Row.Id)
            : context.Denied(rule, target);
    }

    public static void RequireVisibility(this ApiContext context, string visibility, PolicyTarget target)
    {
        if (visibility == ImageVisibility.Public)
        {
            context.Enforce(GlancePolicies.PublicizeImage, target);
        }
        else if (visibility == ImageVisibility.Community)
        {
            context.Enforce(GlancePolicies.CommunitizeImage, target);
        }
    }
}
