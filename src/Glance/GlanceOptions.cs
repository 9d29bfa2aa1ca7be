using SharpStack.Foundation.Configuration;

namespace SharpStack.Glance;

/// <summary>The options read from <c>glance-api.conf</c>.</summary>
internal static class GlanceOptions
{
    public const string DefaultStoreGroup = "glance_store";

    public static readonly ConfigOption<int> LimitParamDefault = new("DEFAULT", "limit_param_default", 25, "How many results a list gives where the request names no limit.") { Min = 1 };

    public static readonly ConfigOption<int> ApiLimitMax = new("DEFAULT", "api_limit_max", 1000, "How many results a list gives at most.") { Min = 1 };

    public static readonly ConfigOption<long> ImageSizeCap = new("DEFAULT", "image_size_cap", 1_099_511_627_776, "The largest image that may be uploaded, in bytes.") { Min = 1 };

    public static readonly ConfigOption<string> UserStorageQuota = new("DEFAULT", "user_storage_quota", "0", "How much image data a project may store: a number with B, KB, MB, GB or TB; 0 for no limit.");

    public static readonly ConfigOption<int> ImagePropertyQuota = new("DEFAULT", "image_property_quota", 128, "How many properties an image may have; negative for no limit.");

    public static readonly ConfigOption<int> ImageTagQuota = new("DEFAULT", "image_tag_quota", 128, "How many tags an image may have; negative for no limit.");

    public static readonly ConfigOption<int> ImageMemberQuota = new("DEFAULT", "image_member_quota", 128, "How many members an image may have; negative for no limit.");

    public static readonly ConfigOption<string> NodeStagingUri = new("DEFAULT", "node_staging_uri", "", "Where staged data waits for its import, as file:///path; empty for a folder in the data directory.");

    public static readonly ConfigOption<IReadOnlyList<string>> EnabledImportMethods = new("DEFAULT", "enabled_import_methods", ["glance-direct"], "The import methods offered; this release knows glance-direct.");

    public static readonly ConfigOption<IReadOnlyDictionary<string, string>> EnabledBackends = new("DEFAULT", "enabled_backends", new Dictionary<string, string>(), "Stores as name:type, each with options in a group of its name; none for the single store of [glance_store].");

    public static readonly ConfigOption<IReadOnlyList<string>> DiskFormats = new("image_format", "disk_formats", ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"], "The disk formats that an image may have.");

    public static readonly ConfigOption<IReadOnlyList<string>> ContainerFormats = new("image_format", "container_formats", ["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"], "The container formats that an image may have.");

    public static readonly ConfigOption<bool> RequireImageFormatMatch = new("image_format", "require_image_format_match", true, "Refuse data that is not of the image's disk format.");

    public static readonly ConfigOption<IReadOnlyList<string>> VmdkAllowedTypes = new("image_format", "vmdk_allowed_types", ["streamOptimized", "monolithicSparse"], "The create types of VMDK images that are accepted.");

    public static readonly ConfigOption<string> DefaultBackend = new(DefaultStoreGroup, "default_backend", "", "The store for images whose upload names none; needed with enabled_backends.");

    public static readonly ConfigOption<string> FilesystemStoreDataDir = DataDirOf(DefaultStoreGroup);

    public static ConfigOption<string> DataDirOf(string group) => new(group, "filesystem_store_datadir", "", "The folder of a store of type file; empty for one in the data directory.");

    public static ConfigOption<string> DescriptionOf(string group) => new(group, "store_description", "", "What users are told of the store.");
}
