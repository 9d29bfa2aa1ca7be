using System.Linq.Expressions;

namespace SharpStack.Neutron.Storage;

/// <summary><c>column IN (values)</c>, made so that the query's text, and with it its translation, is found again.</summary>
internal static class WhereInExtensions
{
    public static IQueryable<TRow> WhereIn<TRow, T>(this IQueryable<TRow> rows, Expression<Func<TRow, T>> column, IReadOnlyCollection<T> values) => rows.Where(In(column, values));

    public static Expression<Func<TRow, bool>> In<TRow, T>(Expression<Func<TRow, T>> column, IReadOnlyCollection<T> values)
    {
        // A property of an object is sent as a parameter; a constant would be part of the query's text.
        Expression isIn = values.Count == 1
            ? Expression.Equal(column.Body, Expression.Property(Expression.Constant(new Holder<T>(values.First())), nameof(Holder<>.Value)))
            : Expression.Call(
                Expression.Property(Expression.Constant(new Holder<List<T>>([.. values])), nameof(Holder<>.Value)), typeof(List<T>).GetMethod(nameof(List<>.Contains))!, column.Body);
        return Expression.Lambda<Func<TRow, bool>>(isIn, column.Parameters);
    }

    private sealed class Holder<T>(T value)
    {
        public T Value { get; } = value;
    }
}
