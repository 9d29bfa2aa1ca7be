using SharpStack.Foundation.Policy;

namespace SharpStack.Glance;

/// <summary>Glance's policy rules by their names, with the defaults of its secure role-based access control.</summary>
internal static class GlancePolicies
{
    public const string ContextIsAdmin = "context_is_admin";
    public const string AddImage = "add_image";
    public const string DeleteImage = "delete_image";
    public const string GetImage = "get_image";
    public const string GetImages = "get_images";
    public const string ModifyImage = "modify_image";
    public const string PublicizeImage = "publicize_image";
    public const string CommunitizeImage = "communitize_image";
    public const string DownloadImage = "download_image";
    public const string UploadImage = "upload_image";
    public const string AddMember = "add_member";
    public const string DeleteMember = "delete_member";
    public const string GetMember = "get_member";
    public const string GetMembers = "get_members";
    public const string ModifyMember = "modify_member";
    public const string Deactivate = "deactivate";
    public const string Reactivate = "reactivate";
    public const string TasksApiAccess = "tasks_api_access";
    public const string StoresInfoDetail = "stores_info_detail";

    private const string OldDefault = "rule:default";
    private const string Member = "role:admin or (role:member and project_id:%(project_id)s)";
    private const string Reader = "role:admin or (role:reader and project_id:%(project_id)s)";
    private const string Seen = "(project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s)";

    public static IReadOnlyList<PolicyRule> All { get; } =
    [
        new("default", "", "The rule for policies that are not defined.", PolicyScope.None),
        new(ContextIsAdmin, "role:admin", "Who counts as an administrator.", PolicyScope.None),
        Was(AddImage, "role:admin or (role:member and project_id:%(project_id)s and project_id:%(owner)s)", "Create new image"),
        Was(DeleteImage, Member, "Deletes the image"),
        Was(GetImage, $"role:admin or (role:reader and {Seen})", "Get specified image"),
        Was(GetImages, Reader, "Get all available images"),
        Was(ModifyImage, Member, "Updates given image"),
        new(PublicizeImage, "role:admin", "Publicize given image"),
        Was(CommunitizeImage, Member, "Communitize given image"),
        Was(DownloadImage, $"role:admin or (role:member and {Seen})", "Downloads given image"),
        Was(UploadImage, Member, "Uploads data to specified image"),
        Was("delete_image_location", "role:admin", "Deletes the location of given image"),
        Was("get_image_location", Reader, "Reads the location of the image"),
        Was("set_image_location", Member, "Sets location URI to given image"),
        Was(AddMember, Member, "Create image member"),
        Was(DeleteMember, Member, "Delete image member"),
        Was(GetMember, "role:admin or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)", "Show image member details"),
        Was(GetMembers, "role:admin or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)", "List image members"),
        Was(ModifyMember, "role:admin or (role:member and project_id:%(member_id)s)", "Update image member"),
        new("manage_image_cache", "role:admin", "Manage image cache"),
        Was(Deactivate, Member, "Deactivate image"),
        Was(Reactivate, Member, "Reactivate image"),
        new("copy_image", "role:admin", "Copy existing image to other stores"),
        new(TasksApiAccess, "role:admin", "Access to the tasks API"),
        new(StoresInfoDetail, "role:admin", "Expose store specific information"),
    ];

    private static PolicyRule Was(string name, string check, string description) =>
        new(name, check, description, PolicyScope.Project, new DeprecatedRule(name, OldDefault, "The image API now supports roles.", "Wallaby"));
}
