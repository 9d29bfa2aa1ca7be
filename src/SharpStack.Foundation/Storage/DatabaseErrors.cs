namespace SharpStack.Foundation.Storage;

/// <summary>A row with the same key or name is there already, or a row that this one points to is not.</summary>
public sealed class UniqueConstraintException(string constraint, Exception inner) : Exception($"The database refused the row: {constraint}", inner)
{
    /// <summary>What was violated, by the engine's name for it: the index or key, on SQLite <c>table.column</c>.</summary>
    public string Constraint { get; } = constraint;
}

/// <summary>The database does not answer: 503, and the same thing may succeed later.</summary>
public sealed class DatabaseUnavailableException(string message, Exception inner) : CloudException(ErrorKind.ServiceUnavailable, message, inner: inner);

/// <summary>What a failure of the database means for the work that met it.</summary>
internal enum DatabaseFailure
{
    /// <summary>A mistake of the program or its input: nothing to repeat.</summary>
    Other,

    /// <summary>A unique key or a foreign key refused the row.</summary>
    Constraint,

    /// <summary>The transaction lost against another one: repeat it as a whole.</summary>
    Conflict,

    /// <summary>The database, or the connection to it, is gone.</summary>
    Unavailable,
}
