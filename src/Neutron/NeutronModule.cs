using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Neutron.AddressGroups;
using SharpStack.Neutron.AddressScopes;
using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.AutoAllocation;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Extensions;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Ml2;
using SharpStack.Neutron.Networks;
using SharpStack.Neutron.NetworkSegmentRanges;
using SharpStack.Neutron.Notifications;
using SharpStack.Neutron.PlacementReports;
using SharpStack.Neutron.PortForwardings;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Quotas;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.SecurityGroups;
using SharpStack.Neutron.Segments;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Storage.Migrations;
using SharpStack.Neutron.SubnetPools;
using SharpStack.Neutron.Subnets;
using SharpStack.Neutron.Trunks;

namespace SharpStack.Neutron;

/// <summary>Neutron's server: the API on port 9696, and the answers to its agents.</summary>
public sealed class NeutronModule : IServiceModule
{
    private const string Server = "neutron-server";
    private const string ConfigName = "neutron";

    public IReadOnlyList<string> Services => [Server];

    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        [.. NeutronOptions.Declared.Concat(PolicyOptions.All).Concat(BusOptions.All).Concat(HttpTokenValidator.Options).Concat(ServiceCredentials.Options("nova")).Concat(ServiceCredentials.Options("placement")).Concat(DatabaseOptions.All).Select(option => (ConfigName, option))];

    public void Register(ModuleContext context)
    {
        var services = context.Services;
        var config = context.Config(ConfigName);
        services.AddSingleton(new NeutronOptions(config, context.Host));
        DatabaseOptions.Register<NeutronModule>(context, config, typeof(M001Initial).Namespace!);
        services.AddSingleton(provider => new NeutronStore(
            provider.GetRequiredKeyedService<ServiceDatabase>(ConfigName), provider.GetRequiredService<IMessageBus>(), provider.GetRequiredService<TimeProvider>()));
        AddDrivers(services);
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<NeutronLeases>(provider));
        services.AddSingleton<SegmentManager>();
        services.AddSingleton<AgentDirectory>();
        services.AddSingleton<PortOperations>();
        services.AddSingleton<IpAllocator>();
        services.AddSingleton<QuotaEngine>();
        services.AddSingleton<DhcpScheduler>();
        services.AddSingleton<DhcpSchedulingReconciler>();
        services.AddSingleton<NovaNotifier>();
        services.AddSingleton<SecurityGroupResource>();
        services.AddSingleton<SecurityGroupRuleResource>();
        services.AddSingleton<NetworkResource>();
        services.AddSingleton<RbacPolicyResource>();
        services.AddSingleton<AddressScopeResource>();
        services.AddSingleton<SubnetPoolResource>();
        services.AddSingleton<SegmentResource>();
        services.AddSingleton<NetworkSegmentRangeResource>();
        services.AddSingleton(RbacObjectTypes.Network);
        services.AddSingleton(RbacObjectTypes.SubnetPool);
        services.AddSingleton(RbacObjectTypes.AddressScope);
        services.AddSingleton(RbacObjectTypes.SecurityGroup);
        services.AddSingleton(RbacObjectTypes.AddressGroup);
        services.AddSingleton(RbacObjectTypes.QosPolicy);
        services.AddSingleton<SubnetResource>();
        services.AddSingleton<PortResource>();
        services.AddSingleton<AgentReports>();
        services.AddSingleton<PlacementReporter>();
        services.AddSingleton<ServerAllocations>();
        services.AddSingleton<AgentQuestions>();
        services.AddSingleton<TunnelQuestions>();
        services.AddSingleton<DhcpQuestions>();
        services.AddSingleton<RouterPorts>();
        services.AddSingleton<RouterGateway>();
        services.AddSingleton<HaNetworks>();
        services.AddSingleton<L3Scheduler>();
        services.AddSingleton<L3SchedulingReconciler>();
        services.AddSingleton<RouterResource>();
        services.AddSingleton<FloatingIpResource>();
        services.AddSingleton<PortForwardingResource>();
        services.AddSingleton<ConntrackHelperResource>();
        services.AddSingleton<L3Questions>();
        services.AddSingleton<AddressGroupResource>();
        services.AddSingleton<TrunkRules>();
        services.AddSingleton<TrunkResource>();
        services.AddSingleton<TrunkReports>();
        context.AddWorker<NeutronServer>();
        context.AddApi(new ApiDefinition
        {
            Name = Server,
            ServiceType = "network",
            DefaultPort = 9696,
            Errors = new NeutronErrors(),
            Policies = _ => PolicyOptions.Enforcer(config, NeutronPolicies.All),
            Map = Map,
        });
    }

    private static void AddDrivers(IServiceCollection services)
    {
        services.AddSingleton<ITypeDriver, LocalTypeDriver>();
        services.AddSingleton<ITypeDriver, FlatTypeDriver>();
        services.AddSingleton<ITypeDriver, VlanTypeDriver>();

        // Overheads in bytes: the tunnel's own headers and the inner Ethernet header; the IP header comes to it.
        AddTunnel("vxlan", static _ => 30, (1 << 24) - 1, static options => options.VxlanRanges);
        AddTunnel("geneve", static options => options.GeneveHeader, (1 << 24) - 1, static options => options.GeneveRanges);
        AddTunnel("gre", static _ => 22, int.MaxValue, static options => options.GreRanges);
        services.AddSingleton<IMechanismDriver, OpenVSwitchMechanismDriver>();
        services.AddSingleton<IMechanismDriver, L2PopulationMechanismDriver>();

        void AddTunnel(string name, Func<NeutronOptions, int> overhead, int maxId, Func<NeutronOptions, IReadOnlyList<string>> ranges) =>
            services.AddSingleton<ITypeDriver>(provider =>
            {
                var options = provider.GetRequiredService<NeutronOptions>();
                return new TunnelTypeDriver(name, ranges(options), overhead(options) + options.TunnelIpHeader, maxId, options);
            });
    }

    private static void Map(ApiRoutes routes, IServiceProvider services)
    {
        var options = services.GetRequiredService<NeutronOptions>();
        var store = services.GetRequiredService<NeutronStore>();
        var quotas = services.GetRequiredService<QuotaEngine>();
        VersionApi.Map(routes);
        new ExtensionApi(options).Map(routes);
        var networks = MapResource(services.GetRequiredService<NetworkResource>(), hasTags: true);
        MapResource(services.GetRequiredService<SubnetResource>(), hasTags: true);
        var portResource = services.GetRequiredService<PortResource>();
        new PortAddressPairs(store, MapResource(portResource, hasTags: true), portResource).Map(routes);
        MapResource(services.GetRequiredService<SecurityGroupResource>(), hasTags: true);
        MapResource(services.GetRequiredService<SecurityGroupRuleResource>(), hasTags: false);
        MapResource(new DefaultSecurityGroupRuleResource(), hasTags: false);
        MapResource(services.GetRequiredService<RbacPolicyResource>(), hasTags: false);
        MapResource(services.GetRequiredService<AddressScopeResource>(), hasTags: false);
        var subnetPools = MapResource(services.GetRequiredService<SubnetPoolResource>(), hasTags: true);
        new SubnetPoolActions(store, subnetPools, services.GetRequiredService<SubnetPoolResource>()).Map(routes);
        MapResource(services.GetRequiredService<SegmentResource>(), hasTags: false);
        MapResource(services.GetRequiredService<NetworkSegmentRangeResource>(), hasTags: true);
        new PortBindingApi(store, services.GetRequiredService<PortOperations>()).Map(routes);
        var addressGroups = services.GetRequiredService<AddressGroupResource>();
        new AddressGroupActions(store, MapResource(addressGroups, hasTags: false), addressGroups).Map(routes);
        var agents = new AgentApi(store, services.GetRequiredService<AgentDirectory>(), networks);
        agents.Map(routes);
        if (options.HasPlugin("router"))
        {
            MapRouters(agents);
        }

        if (options.HasPlugin("qos"))
        {
            MapQos();
        }

        if (options.HasPlugin("trunk"))
        {
            var trunks = services.GetRequiredService<TrunkResource>();
            new TrunkActions(store, MapResource(trunks, hasTags: true), trunks).Map(routes);
        }

        new QuotaApi(store, quotas, options).Map(routes);
        new NetworkReports(store, services.GetRequiredService<AgentDirectory>()).Map(routes);

        void MapRouters(AgentApi agents)
        {
            var routerResource = services.GetRequiredService<RouterResource>();
            var routers = MapResource(routerResource, hasTags: true);
            var interfaces = ActivatorUtilities.CreateInstance<RouterInterfaces>(services, routers);
            interfaces.Map(routes);
            ActivatorUtilities.CreateInstance<AutoAllocatedTopologyApi>(services, interfaces).Map(routes);
            new RouterRoutes(store, routers, routerResource).Map(routes);
            new L3AgentApi(store, agents, services.GetRequiredService<L3Scheduler>(), routerResource, routers).Map(routes);
            MapResource(services.GetRequiredService<FloatingIpResource>(), hasTags: true);
            new FloatingIpPools(store).Map(routes);
            if (options.HasPlugin("port_forwarding"))
            {
                MapResource(services.GetRequiredService<PortForwardingResource>(), hasTags: false);
            }

            if (options.HasPlugin("conntrack_helper"))
            {
                MapResource(services.GetRequiredService<ConntrackHelperResource>(), hasTags: false);
            }
        }

        void MapQos()
        {
            MapResource(new QosPolicyResource(), hasTags: true);
            foreach (var kind in QosRuleKind.All)
            {
                MapResource(new QosRuleResource(kind, isAlias: false), hasTags: false);
            }

            foreach (var kind in (QosRuleKind[])[QosRuleKind.BandwidthLimit, QosRuleKind.DscpMarking, QosRuleKind.MinimumBandwidth, QosRuleKind.MinimumPacketRate])
            {
                MapResource(new QosRuleResource(kind, isAlias: true), hasTags: false);
            }

            QosRuleTypes.Map(routes);
        }

        ResourceRoutes<TRow, TView> MapResource<TRow, TView>(IResource<TRow, TView> resource, bool hasTags)
            where TRow : ResourceRow
            where TView : class, IResourceView<TRow>
        {
            var mapped = new ResourceRoutes<TRow, TView>(resource, store, options, quotas);
            mapped.Map(routes);
            if (hasTags)
            {
                new TagRoutes<TRow, TView>(resource, store).Map(routes);
            }

            return mapped;
        }
    }
}

/// <summary>Serves the agents on the bus, and keeps the reconcilers running.</summary>
internal sealed class NeutronServer(IMessageBus bus, AgentReports reports, AgentQuestions questions, TrunkReports trunks, TunnelQuestions tunnels, DhcpQuestions dhcp, L3Questions l3, DhcpSchedulingReconciler scheduling, L3SchedulingReconciler l3Scheduling, NovaNotifier nova, PlacementReporter placement, NeutronLeases leases, NetworkSegmentRangeResource ranges, NeutronStore store) : IWorker
{
    private readonly List<IDisposable> served = [];

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await ranges.ShowConfiguredAsync(store, cancellationToken);
        await leases.Keeper.StartAsync(cancellationToken);
        Serve(AgentContracts.ReportState, reports.ReportAsync);
        Serve(OpenVSwitchContracts.GetDevices, questions.GetDevicesAsync);
        Serve(OpenVSwitchContracts.GetSecurityGroups, questions.GetSecurityGroupsAsync);
        Serve(OpenVSwitchContracts.GetTunnels, tunnels.GetTunnelsAsync);
        Serve(OpenVSwitchContracts.GetForwarding, tunnels.GetForwardingAsync);
        Serve(OpenVSwitchContracts.ReportDevices, questions.ReportDevicesAsync);
        Serve(OpenVSwitchContracts.ReportTrunks, trunks.ReportAsync);
        Serve(MetadataContracts.FindInstance, questions.FindInstanceAsync);
        Serve(DhcpContracts.GetNetworks, dhcp.GetNetworksAsync);
        Serve(DhcpContracts.GetPorts, dhcp.GetPortsAsync);
        Serve(DhcpContracts.EnsureDhcpPort, dhcp.EnsurePortAsync);
        Serve(DhcpContracts.ReleaseDhcpPort, dhcp.ReleasePortAsync);
        Serve(DhcpContracts.ReportReady, dhcp.ReportReadyAsync);
        Serve(L3Contracts.GetRouters, l3.GetRoutersAsync);
        Serve(L3Contracts.ReportFloatingIps, l3.ReportFloatingIpsAsync);
        Serve(L3Contracts.ReportStates, l3.ReportStatesAsync);
        Serve(ServerHints.WorkToDo, LookAsync);
        scheduling.Start();
        l3Scheduling.Start();
        nova.Start();
        placement.Start();
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        served.ForEach(registration => registration.Dispose());
        served.Clear();
        await scheduling.DisposeAsync();
        await l3Scheduling.DisposeAsync();
        await nova.DisposeAsync();
        await placement.DisposeAsync();
        await leases.Keeper.StopAsync();
    }

    private Task<Ack> LookAsync(WorkHint hint, CancellationToken cancellationToken)
    {
        switch (hint.Work)
        {
            case NovaNotifier.Key:
                nova.Look();
                break;
            case DhcpSchedulingReconciler.Key:
                scheduling.Look();
                break;
            case L3SchedulingReconciler.Key:
                l3Scheduling.Look();
                break;
            case PlacementReporter.Key when hint.Id is { } agentId:
                placement.Look(agentId);
                break;
        }

        return Task.FromResult(Ack.Ok);
    }

    private void Serve<TRequest, TReply>(BusContract<TRequest, TReply> contract, Func<TRequest, CancellationToken, Task<TReply>> handler) =>
        served.Add(bus.Serve(contract, null, handler));
}
