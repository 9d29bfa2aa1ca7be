using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Http;

namespace SharpStack.Glance.Schemas;

/// <summary><c>/v2/schemas</c>: JSON schemas of what the API gives; clients ask for them to check and to list attributes.</summary>
internal sealed class SchemaRoutes
{
    public static void Map(ApiRoutes routes, IServiceProvider services)
    {
        var config = services.GetRequiredService<GlanceConfig>();
        var image = ImageSchemaText.Replace("CONTAINER_FORMATS", Choices(config.Get(GlanceOptions.ContainerFormats)), StringComparison.Ordinal)
            .Replace("DISK_FORMATS", Choices(config.Get(GlanceOptions.DiskFormats)), StringComparison.Ordinal);
        Add(routes, "image", image);
        Add(routes, "images", Collection("images", image));
        Add(routes, "member", MemberSchemaText);
        Add(routes, "members", MinimalCollection("members", MemberSchemaText));
        Add(routes, "task", TaskSchemaText);
        Add(routes, "tasks", MinimalCollection("tasks", TaskSchemaText));
    }

    private static void Add(ApiRoutes routes, string name, string schema)
    {
        // Read once, so that a slip in a text shows at the start and not on the wire.
        using var document = JsonDocument.Parse(schema.Replace("UUID_PATTERN", UuidPattern, StringComparison.Ordinal));
        var bytes = JsonSerializer.SerializeToUtf8Bytes(document.RootElement, GlanceJson.Default.JsonElement);
        routes.Get($"/v2/schemas/{name}", context => context.WriteJsonAsync(StatusCodes.Status200OK, json => json.WriteRawValue(bytes, skipInputValidation: true))).ForEveryToken();
    }

    private static string Choices(IEnumerable<string> names) => string.Join(", ", names.Select(name => $"\"{JsonEncodedText.Encode(name)}\"").Prepend("null"));

    private static string Collection(string name, string item) => $$"""
        {
          "name": "{{name}}",
          "properties": {
            "{{name}}": {"type": "array", "items": {{item}}},
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"}
          },
          "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"}
          ]
        }
        """;

    private static string MinimalCollection(string name, string item) => $$"""
        {
          "name": "{{name}}",
          "properties": {
            "{{name}}": {"type": "array", "items": {{item}}},
            "schema": {"type": "string"}
          },
          "links": [{"rel": "describedby", "href": "{schema}"}]
        }
        """;

    private const string UuidPattern = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$";

    private const string ImageSchemaText = """
        {
          "name": "image",
          "properties": {
            "id": {"type": "string", "description": "An identifier for the image", "pattern": "UUID_PATTERN"},
            "name": {"type": ["null", "string"], "description": "Descriptive name for the image", "maxLength": 255},
            "status": {
              "type": "string", "readOnly": true, "description": "Status of the image",
              "enum": ["queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated"]
            },
            "visibility": {"type": "string", "description": "Scope of image accessibility", "enum": ["community", "public", "private", "shared"]},
            "protected": {"type": "boolean", "description": "If true, image will not be deletable."},
            "os_hidden": {"type": "boolean", "description": "If true, image will not appear in default image list response."},
            "checksum": {"type": ["null", "string"], "readOnly": true, "description": "md5 hash of image contents.", "maxLength": 32},
            "os_hash_algo": {"type": ["null", "string"], "readOnly": true, "description": "Algorithm to calculate the os_hash_value", "maxLength": 64},
            "os_hash_value": {
              "type": ["null", "string"], "readOnly": true, "maxLength": 128,
              "description": "Hexdigest of the image contents using the algorithm specified by the os_hash_algo"
            },
            "owner": {"type": ["null", "string"], "description": "Owner of the image", "maxLength": 255},
            "size": {"type": ["null", "integer"], "readOnly": true, "description": "Size of image file in bytes"},
            "virtual_size": {"type": ["null", "integer"], "readOnly": true, "description": "Virtual size of image in bytes"},
            "container_format": {"type": ["null", "string"], "description": "Format of the container", "enum": [CONTAINER_FORMATS]},
            "disk_format": {"type": ["null", "string"], "description": "Format of the disk", "enum": [DISK_FORMATS]},
            "created_at": {"type": "string", "readOnly": true, "description": "Date and time of image registration"},
            "updated_at": {"type": "string", "readOnly": true, "description": "Date and time of the last image modification"},
            "tags": {"type": "array", "description": "List of strings related to the image", "items": {"type": "string", "maxLength": 255}},
            "direct_url": {"type": "string", "readOnly": true, "description": "URL to access the image file kept in external store"},
            "min_ram": {"type": "integer", "description": "Amount of ram (in MB) required to boot image."},
            "min_disk": {"type": "integer", "description": "Amount of disk space (in GB) required to boot image."},
            "self": {"type": "string", "readOnly": true, "description": "An image self url"},
            "file": {"type": "string", "readOnly": true, "description": "An image file url"},
            "stores": {
              "type": "string", "readOnly": true,
              "description": "Store in which image data resides.  Only present when the operator has enabled multiple stores.  May be a comma-separated list of store identifiers."
            },
            "schema": {"type": "string", "readOnly": true, "description": "An image schema url"},
            "locations": {
              "type": "array", "description": "A set of URLs to access the image file kept in external store",
              "items": {
                "type": "object", "required": ["url", "metadata"],
                "properties": {
                  "url": {"type": "string", "maxLength": 255},
                  "metadata": {"type": "object"},
                  "validation_data": {
                    "type": "object", "writeOnly": true, "additionalProperties": false, "required": ["os_hash_algo", "os_hash_value"],
                    "description": "Values to be used to populate the corresponding image properties. If the image status is not 'queued', values must exactly match those already contained in the image properties.",
                    "properties": {
                      "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
                      "os_hash_algo": {"type": "string", "maxLength": 64},
                      "os_hash_value": {"type": "string", "maxLength": 128}
                    }
                  }
                }
              }
            },
            "architecture": {
              "type": "string", "is_base": false,
              "description": "Operating system architecture as specified in https://docs.openstack.org/python-glanceclient/latest/cli/property-keys.html"
            },
            "instance_uuid": {
              "type": "string", "is_base": false,
              "description": "Metadata which can be used to record which instance this image is associated with. (Informational only, does not create an instance snapshot.)"
            },
            "kernel_id": {
              "type": ["null", "string"], "is_base": false, "pattern": "UUID_PATTERN",
              "description": "ID of image stored in Glance that should be used as the kernel when booting an AMI-style image."
            },
            "os_distro": {
              "type": "string", "is_base": false,
              "description": "Common name of operating system distribution as specified in https://docs.openstack.org/python-glanceclient/latest/cli/property-keys.html"
            },
            "os_version": {"type": "string", "is_base": false, "description": "Operating system version as specified by the distributor"},
            "ramdisk_id": {
              "type": ["null", "string"], "is_base": false, "pattern": "UUID_PATTERN",
              "description": "ID of image stored in Glance that should be used as the ramdisk when booting an AMI-style image."
            }
          },
          "additionalProperties": {"type": "string"},
          "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            {"rel": "describedby", "href": "{schema}"}
          ]
        }
        """;

    private const string MemberSchemaText = """
        {
          "name": "member",
          "properties": {
            "member_id": {"type": "string", "description": "An identifier for the image member (tenantId)"},
            "image_id": {"type": "string", "description": "An identifier for the image", "pattern": "UUID_PATTERN"},
            "created_at": {"type": "string", "description": "Date and time of image member creation"},
            "updated_at": {"type": "string", "description": "Date and time of last modification of image member"},
            "status": {"type": "string", "description": "The status of this image member", "enum": ["pending", "accepted", "rejected"]},
            "schema": {"readOnly": true, "type": "string"}
          }
        }
        """;

    private const string TaskSchemaText = """
        {
          "name": "task",
          "properties": {
            "id": {"type": "string", "description": "An identifier for the task", "pattern": "UUID_PATTERN"},
            "type": {"type": "string", "description": "The type of task represented by this content", "enum": ["import", "api_image_import"]},
            "status": {"type": "string", "description": "The current status of this task", "enum": ["pending", "processing", "success", "failure"]},
            "input": {"type": ["null", "object"], "description": "The parameters required by task, JSON blob"},
            "result": {"type": ["null", "object"], "description": "The result of current task, JSON blob"},
            "owner": {"type": "string", "description": "An identifier for the owner of this task"},
            "message": {"type": "string", "description": "Human-readable informative message only included when appropriate (usually on failure)"},
            "image_id": {"type": "string", "description": "Image associated with the task"},
            "request_id": {"type": "string", "description": "Human-readable informative request-id"},
            "user_id": {"type": "string", "description": "User associated with the task"},
            "expires_at": {"type": ["null", "string"], "description": "Datetime when this resource would be subject to removal"},
            "created_at": {"type": "string", "description": "Datetime when this resource was created"},
            "updated_at": {"type": "string", "description": "Datetime when this resource was updated"},
            "self": {"readOnly": true, "type": "string"},
            "schema": {"readOnly": true, "type": "string"}
          }
        }
        """;
}
