using SharpStack.Keystone.Authentication;

namespace SharpStack.Keystone.Tokens;

/// <summary>How tokens are written and signed; by OpenStack's name in <c>[token] provider</c>.</summary>
internal interface ITokenFormat
{
    /// <param name="issuedAt">In whole seconds.</param>
    string Seal(TokenPayload payload, DateTimeOffset issuedAt);

    /// <returns>Null for a token that none of the keys signed, or that holds what this release does not understand.</returns>
    TokenPayload? Open(string token, out DateTimeOffset issuedAt);
}

/// <summary><c>fernet</c>: encrypted and signed with the keys of a <see cref="KeyRepository"/>.</summary>
internal sealed class FernetFormat(KeyRepository keys, AuthMethodMap methods) : ITokenFormat
{
    private const int OnStack = 1024;

    public string Seal(TokenPayload payload, DateTimeOffset issuedAt) => keys.Encrypt(
        payload.Pack(payload.Federation is null ? stackalloc byte[OnStack] : new byte[TokenPayload.Longest], methods), issuedAt);

    public TokenPayload? Open(string token, out DateTimeOffset issuedAt)
    {
        if (keys.Decrypt(token, out issuedAt) is not { } packed)
        {
            return null;
        }
        try
        {
            return TokenPayload.Unpack(packed, methods);
        }
        catch (FormatException)
        {
            return null;
        }
    }
}
