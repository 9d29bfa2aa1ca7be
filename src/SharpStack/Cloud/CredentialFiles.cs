namespace SharpStack.Cloud;

/// <summary>The files that clients read: <c>admin-openrc</c>, <c>demo-openrc</c> and <c>clouds.yaml</c>.</summary>
internal static class CredentialFiles
{
    public static void Write(CloudLayout layout, CloudSettings settings)
    {
        CloudLayout.WriteSecret(layout.AdminCredentials, Openrc(settings, "admin", settings.Secrets.Admin));
        CloudLayout.WriteSecret(layout.DemoCredentials, Openrc(settings, "demo", settings.Secrets.Demo));
        CloudLayout.WriteSecret(layout.CloudsFile, $"clouds:\n{Cloud(settings, "admin", settings.Secrets.Admin)}{Cloud(settings, "demo", settings.Secrets.Demo)}");
    }

    private static string Openrc(CloudSettings settings, string user, string password) =>
        $"""
        export OS_PROJECT_DOMAIN_NAME=Default
        export OS_USER_DOMAIN_NAME=Default
        export OS_PROJECT_NAME={user}
        export OS_USERNAME={user}
        export OS_PASSWORD={password}
        export OS_AUTH_URL={settings.AuthUrl}
        export OS_REGION_NAME={CloudConfiguration.Region}
        export OS_IDENTITY_API_VERSION=3
        export OS_IMAGE_API_VERSION=2

        """;

    private static string Cloud(CloudSettings settings, string user, string password) =>
        $"""
          {user}:
            region_name: {CloudConfiguration.Region}
            identity_api_version: 3
            auth:
              auth_url: {settings.AuthUrl}
              username: {user}
              password: {password}
              project_name: {user}
              user_domain_name: Default
              project_domain_name: Default

        """;
}
