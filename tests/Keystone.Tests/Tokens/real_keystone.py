"""The genuine keystone's own code (package python3-keystone), asked by RealKeystoneTests: keys and requests come as JSON, answers go as JSON."""
import importlib
import json
import sys

import keystone.conf
from keystone.common import fernet_utils
from keystone.receipt import receipt_formatters
from keystone.token import token_formatters
from keystone.token.providers.jws import core as jws

# By its full name: the package has another module in the place of this one.
credentials = importlib.import_module('keystone.credential.providers.fernet.core')

asked = json.load(sys.stdin)
CONF = keystone.conf.CONF
keystone.conf.configure()
CONF([], project='keystone', default_config_files=[])
CONF.set_override('key_repository', asked['fernet'], group='fernet_tokens')
CONF.set_override('key_repository', asked['fernet'], group='fernet_receipts')
CONF.set_override('key_repository', asked['credentials'], group='credential')
CONF.set_override('jws_private_key_repository', asked['jws_private'], group='jwt_tokens')
CONF.set_override('jws_public_key_repository', asked['jws_public'], group='jwt_tokens')
CONF.set_override('methods', asked['methods'], group='auth')

NAMES = ('user_id', 'methods', 'audit_ids', 'system', 'domain_id', 'project_id', 'trust_id', 'group_ids', 'idp_id', 'protocol_id', 'access_token_id', 'app_cred_id', 'issued_at', 'expires_at')
CLASSES = {c.__name__: c for c in token_formatters._PAYLOAD_CLASSES}
fernet, signed, receipts, secrets = token_formatters.TokenFormatter(), jws.JWSFormatter(), receipt_formatters.ReceiptFormatter(), credentials.Provider()

answers = {'minted': [], 'signed': [], 'opened': [], 'verified': []}
for one in asked['mint']:
    fields = {k: v for k, v in one.items() if k not in ('class', 'user_id', 'expires_at', 'audit_ids')}
    answers['minted'].append(fernet.create_token(one['user_id'], one['expires_at'], one['audit_ids'], CLASSES[one['class']], **fields))
    answers['signed'].append(signed.create_token(one['user_id'], one['expires_at'], one['audit_ids'], **fields)[0])
for token in asked['open']:
    answers['opened'].append(dict(zip(NAMES, fernet.validate_token(token))))
for token in asked['verify']:
    answers['verified'].append(dict(zip(NAMES, signed.validate_token(token))))
answers['receipt'] = receipts.create_receipt(asked['receipt_user'], ['password'], asked['receipt_expires_at'])
answers['read_receipt'] = receipts.validate_receipt(asked['receipt'])[:2]
answers['secret'] = secrets.encrypt('from there')[0].decode()
answers['key_hash'] = credentials.primary_key_hash(fernet_utils.FernetUtils(asked['credentials'], 3, 'credential').load_keys())
answers['read_secret'] = secrets.decrypt(asked['secret'])
json.dump(answers, sys.stdout)
