using System.Data;
using System.Data.Common;
using LinqToDB.Common;
using LinqToDB.Interceptors;

namespace SharpStack.Foundation.Storage;

/// <summary>
/// Runs every statement: counts and times it, repeats a read whose pooled connection turns out to be broken, and tells an outage as <see cref="DatabaseUnavailableException"/>.
/// </summary>
internal sealed class StorageInterceptor(ServiceDatabase database) : CommandInterceptor, IExceptionInterceptor
{
    public override Option<int> ExecuteNonQuery(CommandEventData eventData, DbCommand command, Option<int> result) =>
        Option<int>.Some(Run(eventData, command, static (command, _) => command.ExecuteNonQuery(), CommandBehavior.Default, isRead: false));

    public override async Task<Option<int>> ExecuteNonQueryAsync(CommandEventData eventData, DbCommand command, Option<int> result, CancellationToken cancellationToken) =>
        Option<int>.Some(await RunAsync(
            eventData, command, static (command, _, cancellationToken) => command.ExecuteNonQueryAsync(cancellationToken), CommandBehavior.Default, isRead: false, cancellationToken));

    public override Option<object?> ExecuteScalar(CommandEventData eventData, DbCommand command, Option<object?> result) =>
        Option<object?>.Some(Run(eventData, command, static (command, _) => command.ExecuteScalar(), CommandBehavior.Default, isRead: true));

    public override async Task<Option<object?>> ExecuteScalarAsync(CommandEventData eventData, DbCommand command, Option<object?> result, CancellationToken cancellationToken) =>
        Option<object?>.Some(await RunAsync(
            eventData, command, static (command, _, cancellationToken) => command.ExecuteScalarAsync(cancellationToken), CommandBehavior.Default, isRead: true, cancellationToken));

    public override Option<DbDataReader> ExecuteReader(CommandEventData eventData, DbCommand command, CommandBehavior commandBehavior, Option<DbDataReader> result) =>
        Option<DbDataReader>.Some(Run(eventData, command, static (command, behavior) => command.ExecuteReader(behavior), commandBehavior, isRead: true));

    public override async Task<Option<DbDataReader>> ExecuteReaderAsync(
        CommandEventData eventData, DbCommand command, CommandBehavior commandBehavior, Option<DbDataReader> result, CancellationToken cancellationToken) =>
        Option<DbDataReader>.Some(await RunAsync(
            eventData, command, static (command, behavior, cancellationToken) => command.ExecuteReaderAsync(behavior, cancellationToken), commandBehavior, isRead: true, cancellationToken));

    /// <summary>Also what fails outside a statement: opening a connection, reading on.</summary>
    public void ProcessException(ExceptionEventData eventData, Exception exception)
    {
        if (IsOutage(exception))
        {
            throw database.Unavailable(exception);
        }
    }

    private T Run<T>(CommandEventData eventData, DbCommand command, Func<DbCommand, CommandBehavior, T> execute, CommandBehavior behavior, bool isRead)
    {
        for (var attempt = 1; ; attempt++)
        {
            var started = database.Clock.GetTimestamp();
            try
            {
                var result = execute(command, behavior);
                database.Answered(started);
                return result;
            }
            catch (Exception failure) when (IsRepeatable(eventData, failure, isRead, attempt))
            {
                database.ForgetConnections(failure);
                command.Connection!.Close();
                database.Reopen(command.Connection);
            }
            catch (Exception failure) when (IsOutage(failure))
            {
                throw database.Unavailable(failure);
            }
        }
    }

    private async Task<T> RunAsync<T>(
        CommandEventData eventData, DbCommand command, Func<DbCommand, CommandBehavior, CancellationToken, Task<T>> execute, CommandBehavior behavior, bool isRead, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            var started = database.Clock.GetTimestamp();
            try
            {
                var result = await execute(command, behavior, cancellationToken);
                database.Answered(started);
                return result;
            }
            catch (Exception failure) when (IsRepeatable(eventData, failure, isRead, attempt))
            {
                database.ForgetConnections(failure);
                await command.Connection!.CloseAsync();
                await database.ReopenAsync(command.Connection, cancellationToken);
            }
            catch (Exception failure) when (IsOutage(failure))
            {
                throw database.Unavailable(failure);
            }
        }
    }

    // What a transaction did so far is gone with its connection: it is repeated as a whole, by WriteAsync. A timeout says that the server is slow: not once more.
    private bool IsRepeatable(CommandEventData eventData, Exception failure, bool isRead, int attempt) =>
        isRead && attempt == 1 && eventData.DataConnection.Transaction is null && database.Classify(failure) == DatabaseFailure.Unavailable && !IsTimeout(failure);

    private bool IsOutage(Exception failure) => failure is not CloudException && database.Classify(failure) == DatabaseFailure.Unavailable;

    private static bool IsTimeout(Exception failure) => failure is TimeoutException || failure.InnerException is TimeoutException;
}
