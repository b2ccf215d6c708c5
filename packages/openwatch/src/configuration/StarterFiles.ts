/**
 * A configuration and an inventory to begin with. What is commented out has the values that hold without it, or is an example.
 */

/** The inventory, in `hosts.yaml`. */
export const inventory = `# The hosts that OpenWatch watches. \`openwatch run\` follows this file as it is edited.
hosts:
  - name: this-machine         # what people call it; unique
    address: 127.0.0.1         # an IP address, or a name
    #port: 22                  # of its SSH server
    #id: 0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e  # a UUID keeps a host the same when its name changes
    #tags: { site: berlin }    # are on its alerts, so that channels can be chosen by them
`

/** The configuration, in `openwatch.yaml`. */
export const configuration =
  `# What OpenWatch watches, and where its alerts go. \`openwatch config check\` says what is wrong with this file.
# Time spans are a number and a unit: 90s, 5m, 1h, 30d. Paths are relative to this file.

inventory: hosts.yaml

# How hosts are probed.
#liveness:
#  interval: 5m                # how often: 1m to 1h
#  failure_threshold: 2        # failed probes in a row until a host is unreachable
#  retry_interval: 30s         # how soon a host that has failed is looked at again
#  flapping: 4                 # more changes than this in an hour are told once

# Results of OpenSCAP that are put into this folder are read.
#scans: scans

# From how many percentage points on a score has moved.
#drift:
#  major: 10
#  minor: 5
#  improvement: 5

# When alerts are repeated and given up.
#alerts:
#  time_to_live: 60m           # how long repeats of an alert are muted
#  retry_for: 24h              # how long a channel is tried for an alert
#  remind_after: 4h            # what is still active then is sent again; never by default

# Where alerts go. A secret is best kept in a variable of the environment, which is named here.
channels:
  - type: console
#  - type: email
#    host: mail.example.org
#    username: openwatch
#    password_env: MAIL_PASSWORD
#    from: openwatch@example.org
#    to: [ops@example.org]
#  - type: webhook
#    name: on-call
#    url: https://on-call.example.org/alerts
#    secret_env: ON_CALL_SECRET
#    min_severity: high        # critical, high, medium, low or info
#  - type: slack
#    url_env: SLACK_WEBHOOK_URL
#    tags: { alert_type: host_unreachable }

# How long what is over is kept.
#retention:
#  alerts: 365d
#  scans: 90d

# The live page. Without a token only this machine may look.
#http:
#  host: 127.0.0.1
#  port: 7420
#  token_env: OPENWATCH_TOKEN
#  hosts: [watch.example.org]  # the names under which browsers ask for it
`
