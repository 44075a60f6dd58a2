#!/bin/sh
# The NAS' daemons without Kubernetes, on a board, from the very images and with the very configuration that the pods
# have; only ports and folders differ. What the cluster adds is the difference.
#   bare.sh generate                                   prints the board's Syncthing device ID
#   bare.sh start ADDRESS ID PEER_ADDRESS PEER_ID      with smb.conf and ganesha.conf beside this file
set -eu
here=$(dirname "$0") root=/run/bare share=/srv/homecloud/data/bare

generate() {
  for name in nas syncthing; do
    mkdir -p $root/$name
    image=$(ctr -n k8s.io images ls -q | grep "/homecloud/$name:" | head -n 1)
    ctr -n k8s.io images mount --rw "$image" $root/$name >/dev/null
    (cd $root/$name && mkdir -p srv/homecloud run tmp dev proc)
    mount --rbind /srv/homecloud $root/$name/srv/homecloud
    mount -t tmpfs tmpfs $root/$name/run
    mount -t tmpfs tmpfs $root/$name/tmp
    mount --bind /dev $root/$name/dev
    mount -t proc proc $root/$name/proc
  done
  mkdir -p $share/.stfolder && chown -R 2000:2000 $share && chmod 770 $share
  mkdir -p $root/syncthing/run/home
  chroot $root/syncthing /bin/syncthing generate --home=/run/home --no-default-folder --skip-port-probing >/dev/null 2>&1
  chroot $root/syncthing /bin/syncthing --home=/run/home --device-id
}

start() {
  address=$1 id=$2 peer_address=$3 peer_id=$4
  cat >$root/syncthing/run/home/config.xml <<X
<configuration version="37">
  <folder id="bare" path="$share" type="sendreceive" rescanIntervalS="3600" fsWatcherEnabled="true" fsWatcherDelayS="1" ignorePerms="true">
    <device id="$id"></device><device id="$peer_id"></device><maxConflicts>-1</maxConflicts>
  </folder>
  <device id="$id" name="self"><address>dynamic</address></device>
  <device id="$peer_id" name="peer"><address>tcp://$peer_address:23000</address></device>
  <gui enabled="true"><apikey>bare</apikey></gui>
  <options>
    <listenAddress>tcp://$address:23000</listenAddress><globalAnnounceEnabled>false</globalAnnounceEnabled>
    <localAnnounceEnabled>false</localAnnounceEnabled><relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled>
    <reconnectionIntervalS>5</reconnectionIntervalS><urAccepted>-1</urAccepted><crashReportingEnabled>false</crashReportingEnabled>
  </options>
</configuration>
X
  chown -R 2000:2000 $root/syncthing/run/home
  (umask 007; setsid chroot --userspec=2000:2000 $root/syncthing /bin/syncthing serve --home=/run/home --no-browser --no-restart --gui-address=unix:///run/gui.sock >$root/syncthing.log 2>&1 &)

  nas=$root/nas
  mkdir -p $nas/run/samba/private $nas/run/samba/lock $nas/run/samba/state $nas/run/samba/cache $nas/run/samba/pid $nas/run/samba/ncalrpc
  mkdir -p $nas/run/ganesha $nas/run/recovery $nas/var/lib/extrausers
  cp "$here"/passwd "$here"/group "$here"/smbpasswd $nas/var/lib/extrausers/
  cp "$here/smb.conf" "$here/ganesha.conf" $nas/run/
  setsid chroot $nas smbd --foreground --no-process-group --configfile=/run/smb.conf --debug-stdout >$root/samba.log 2>&1 &
  setsid chroot $nas ganesha.nfsd -F -f /run/ganesha.conf -L /dev/stdout -p /run/ganesha/pid >$root/ganesha.log 2>&1 &
}
"$@"
