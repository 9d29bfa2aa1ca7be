{% for name, user in [('keystone', 'keystone'), ('glance', 'glance'), ('placement', 'placement'), ('nova', 'nova'), ('neutron', 'neutron')] %}
CREATE DATABASE IF NOT EXISTS {{ name }};
CREATE USER IF NOT EXISTS '{{ user }}'@'%';
ALTER USER '{{ user }}'@'%' IDENTIFIED BY '{{ OS_SERVICE_PASSWORD }}';
GRANT ALL PRIVILEGES ON {{ name }}.* TO '{{ user }}'@'%';
{% endfor %}
