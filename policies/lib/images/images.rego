# METADATA
# title: Image references
# description: |
#   What an image reference says, taken apart the way container runtimes do it.
package policies.lib.images

import data.policies.lib.kubernetes

# images(o) is every image that the workload's pods run, each as {"reference": …, "container": …,
# "path": …}; a container without an image has the reference "".
images(o) := {entry |
	some holder in kubernetes.containers(o)
	entry := {
		"reference": object.get(holder.container, "image", ""),
		"container": kubernetes.describe_container(o, holder),
		"path": array.concat(holder.path, ["image"]),
	}
}

# registry(reference) is the host that an image comes from, with its port, "" when none is named: what
# stands before the first slash is a host only if it looks like one.
registry(reference) := host if {
	contains(reference, "/")
	host := split(reference, "/")[0]
	regex.match(`[.:]|^localhost$`, host)
} else := ""

# name(reference) is the reference without tag and digest.
name(reference) := regex.replace(split(reference, "@")[0], `:[^:/]*$`, "")

# tag(reference) is what stands after the colon, "" when nothing does.
tag(reference) := trim_prefix(trim_prefix(split(reference, "@")[0], name(reference)), ":")

# digest(reference) is the content's hash, "" when there is none that is whole.
digest(reference) := hash if {
	[_, hash] := split(reference, "@")
	regex.match(`^sha256:[0-9a-f]{64}$`, hash)
} else := ""

# is_docker_hub(reference): does the image come from Docker Hub? Without a host it does, too.
is_docker_hub(reference) if registry(reference) == ""

is_docker_hub(reference) if regex.match(`^([a-z0-9-]+\.)*docker\.(io|com)\.?(:[0-9]+)?$`, lower(registry(reference)))
