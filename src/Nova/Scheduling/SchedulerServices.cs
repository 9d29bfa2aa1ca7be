using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;
using SharpStack.Nova.Scheduling.Filters;
using SharpStack.Nova.Scheduling.Weighers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Scheduling;

/// <summary>What the scheduler is made of; an assembly may add filters and weighers by registering them too.</summary>
internal static class SchedulerServices
{
    public static IServiceCollection AddScheduler(this IServiceCollection services, ServiceConfig config)
    {
        services.AddSingleton<IHostFilter, AllHostsFilter>();
        services.AddSingleton<IHostFilter, AvailabilityZoneFilter>();
        services.AddSingleton<IHostFilter, ComputeFilter>();
        services.AddSingleton<IHostFilter, ComputeCapabilitiesFilter>();
        services.AddSingleton<IHostFilter>(new ImagePropertiesFilter(config));
        services.AddSingleton<IHostFilter, ServerGroupAntiAffinityFilter>();
        services.AddSingleton<IHostFilter, ServerGroupAffinityFilter>();
        services.AddSingleton<IHostFilter, DifferentHostFilter>();
        services.AddSingleton<IHostFilter, SameHostFilter>();
        services.AddSingleton<IHostFilter, SimpleCIDRAffinityFilter>();
        services.AddSingleton<IHostFilter>(new IoOpsFilter(config));
        services.AddSingleton<IHostFilter>(new NumInstancesFilter(config));
        services.AddSingleton<IHostFilter, AggregateInstanceExtraSpecsFilter>();
        services.AddSingleton<IHostFilter>(new AggregateImagePropertiesIsolation(config));
        services.AddSingleton<IHostFilter, AggregateMultiTenancyIsolation>();
        services.AddSingleton<IHostFilter, AggregateTypeAffinityFilter>();
        services.AddSingleton<IHostFilter>(new AggregateIoOpsFilter(config));
        services.AddSingleton<IHostFilter>(new AggregateNumInstancesFilter(config));
        services.AddSingleton<IHostFilter>(new IsolatedHostsFilter(config));
        services.AddSingleton(provider => new AggregateRestrictions(provider.GetRequiredService<IHostStates>(), config));
        AddWeigher("RAMWeigher", SchedulerOptions.RamMultiplier, static (host, _) => host.MemoryMb - host.MemoryMbUsed);
        AddWeigher("CPUWeigher", SchedulerOptions.CpuMultiplier, static (host, _) => host.Vcpus - host.VcpusUsed);
        AddWeigher("DiskWeigher", SchedulerOptions.DiskMultiplier, static (host, _) => host.LocalGb - host.LocalGbUsed);
        AddWeigher("IoOpsWeigher", SchedulerOptions.IoOpsMultiplier, static (host, _) => host.BusyInstanceCount);
        AddWeigher("ServerGroupSoftAffinityWeigher", SchedulerOptions.SoftAffinityMultiplier, static (host, spec) => Members(host, spec, "soft-affinity"));
        AddWeigher("ServerGroupSoftAntiAffinityWeigher", SchedulerOptions.SoftAntiAffinityMultiplier, static (host, spec) => -Members(host, spec, "soft-anti-affinity"));
        services.AddSingleton(provider => new HostChoices(provider.GetRequiredService<NovaStore>()));
        services.AddSingleton(provider => new CandidateClient(provider.GetRequiredService<ServiceClients>(), config));
        services.AddSingleton<IScheduler>(provider => new FilterScheduler(
            provider.GetRequiredService<CandidateClient>(),
            provider.GetRequiredService<IHostStates>(),
            provider.GetRequiredService<AggregateRestrictions>(),
            provider.GetRequiredService<HostChoices>(),
            provider.GetServices<IHostFilter>(),
            provider.GetServices<IHostWeigher>(),
            config));
        return services;

        void AddWeigher(string name, ConfigOption<double> multiplier, Func<HostState, RequestSpec, double> weigh) =>
            services.AddSingleton<IHostWeigher>(new HostWeigher(name, multiplier.Name, config.Get(multiplier), weigh));
    }

    private static double Members(HostState host, RequestSpec spec, string policy) =>
        spec.Group is { } group && group.Policy == policy ? group.MemberIds.Count(host.InstanceIds.Contains) : 0;
}
