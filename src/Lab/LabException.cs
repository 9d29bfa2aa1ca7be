namespace SharpStack.Lab;

/// <summary>The lab cannot do what was asked; the message says why and what to do.</summary>
public sealed class LabException(string message) : Exception(message);
