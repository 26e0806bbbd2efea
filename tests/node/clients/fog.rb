# images.get of fog-openstack's v1 API: prints the image as JSON.
#
#   ruby fog.rb ENDPOINT ID
require 'fog/openstack'
require 'json'

service = Fog::OpenStack::Image::V1.new(
  openstack_auth_url: 'http://127.0.0.1:1/v3',
  openstack_auth_token: 'x',
  openstack_management_url: ARGV[0]
)
puts service.images.get(ARGV[1]).attributes.to_json
