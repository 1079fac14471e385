# An example. It is not tested. The certificate that Puppet's CA gives each node is the one for the gateway.
#
# Its common name is the certname, in small letters. In gateway.toml of the gateway, hosts_ca is
# /etc/puppetlabs/puppet/ssl/certs/ca.pem. The certificate of the gateway itself must come from another CA: see certificates.sh.
#
# Puppet's certificates are valid for five years. "puppetserver ca revoke" tells the gateway nothing. Give the serial number to
# the gateway as pam_onelogin(8) describes under "Certificates":
#
#   openssl x509 -in /etc/puppetlabs/puppetserver/ca/signed/NAME.pem -noout -serial | cut -d= -f2
#
# The module demands that root owns the files and the folders above them, and that only root can read the key. The class therefore
# copies both into one file. Puppet runs again within half an hour after a node has a new certificate.
class profile::pam_onelogin_host_certificate {
  $ssl = '/etc/puppetlabs/puppet/ssl'
  $node = $trusted['certname']

  # file() would read a file of the server. This command reads those of the node.
  exec { 'certificate and key for the gateway':
    command  => "umask 077; cat ${ssl}/certs/${node}.pem ${ssl}/private_keys/${node}.pem > host.new && mv host.new host.pem",
    unless   => "cat ${ssl}/certs/${node}.pem ${ssl}/private_keys/${node}.pem | cmp -s - host.pem",
    cwd      => '/etc/pam_onelogin',
    path     => ['/usr/bin', '/bin'],
    provider => shell,
  }
}
