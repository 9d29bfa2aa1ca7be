using SharpStack.Audit;
using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.Database;
using SharpStack.Doctor;
using SharpStack.Lab;
using SharpStack.Labs;
using SharpStack.LinuxHost.Processes;
using SharpStack.Serve;

var time = TimeProvider.System;
using var interrupted = new CancellationTokenSource();
try
{
    switch (args)
    {
        case ["up", .. var words]:
            Console.CancelKeyPress += Interrupt;
            await new UpCommand(words, time).RunAsync(interrupted.Token);
            return 0;
        case ["down", .. var words]:
            Console.CancelKeyPress += Interrupt;
            await new DownCommand(words, time).RunAsync(interrupted.Token);
            return 0;
        case ["serve", .. var words]:
            return await new ServeCommand(words, time).RunAsync(interrupted.Token);
        case ["doctor", .. var words]:
            return await DoctorCommand.RunAsync(words, interrupted.Token);
        case ["audit", .. var words]:
            Console.CancelKeyPress += Interrupt;
            return await new AuditCommand(words, Console.Out, time).RunAsync(interrupted.Token);
        case ["keystone", .. var words]:
            await KeystoneCommands.RunAsync(words, Console.In, Console.Out, time, interrupted.Token);
            return 0;
        case ["nova", .. var words]:
            return await NovaCommands.RunAsync(words, Console.Out, time, interrupted.Token);
        case ["lab", .. var words]:
            Console.CancelKeyPress += Interrupt;
            return await new LabCommand(words, time).RunAsync(interrupted.Token);
        case ["db", .. var words]:
            Console.CancelKeyPress += Interrupt;
            return await DatabaseCommand.RunAsync(words, Console.Out, time, interrupted.Token);
        case ["config", .. var words]:
            ConfigCommand.Run(words, time);
            return 0;
        case ["policy", .. var words]:
            return await PolicyCommand.RunAsync(words, time);
        case ["routes"]:
            await RoutesCommand.RunAsync(Console.Out);
            return 0;
        case [] or ["help" or "--help" or "-h"]:
            Help(Console.Out);
            return 0;
        default:
            throw new UsageException($"there is no command '{string.Join(' ', args.TakeWhile(word => !word.StartsWith('-')))}'");
    }
}
catch (UsageException failure)
{
    Console.Error.WriteLine($"sharpstack: {failure.Message}");
    Help(Console.Error);
    return 2;
}
catch (Exception failure) when (failure is CommandException or LabException or ShellException or SharpStack.Foundation.CloudException or FormatException)
{
    Console.Error.WriteLine($"sharpstack: {failure.Message}");
    return 1;
}
catch (OperationCanceledException) when (interrupted.IsCancellationRequested)
{
    Console.Error.WriteLine("sharpstack: interrupted; run it again to go on");
    return 130;
}

void Interrupt(object? sender, ConsoleCancelEventArgs key)
{
    key.Cancel = true;
    interrupted.Cancel();
}

static void Help(TextWriter output)
{
    output.WriteLine("usage: sharpstack COMMAND");
    foreach (var usage in new[] { UpCommand.Usage, DownCommand.Usage, ServeCommand.Usage, DoctorCommand.Usage, AuditCommand.Usage, LabCommand.Usage, ConfigCommand.Usage, DatabaseCommand.Usage, KeystoneCommands.Usage, NovaCommands.Usage, PolicyCommand.Usage, RoutesCommand.Usage })
    {
        output.WriteLine($"  {usage}");
    }
}
