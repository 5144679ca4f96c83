"""Tools that show the state of a machine or of a running program."""

from __future__ import annotations

from pathlib import Path

from tests.tool_outputs.recipe import recipe, write

_QUEUES = ("mail", "thumbnails", "invoices", "search", "exports", "webhooks", "backups", "refunds")


@recipe(
    "env -i PATH=$PATH $(cat settings) env",
    "Where does the app find its database?",
    r"^DATABASE_URL=postgres://.*",
)
def _env(folder: Path) -> None:
    names = ("TIMEOUT", "RETRIES", "HOST", "PORT", "TOKEN_FILE", "LOG_LEVEL", "BATCH", "REGION")
    names += ("OWNER", "ZONE", "QUOTA", "MODE")
    lines = [
        f"{queue.upper()}_{name}={name.lower()}-{i}"
        for i, queue in enumerate(_QUEUES)
        for name in names
    ]
    lines.insert(37, "DATABASE_URL=postgres://shop@db-3.internal:6432/orders")
    write(folder, {"settings": "\n".join(lines)})


@recipe(
    'for q in $(cat queues); do (exec -a "worker --queue=$q --threads=4" sleep 30) & done; '
    "sleep .3; ps -o pid,ppid,stat,etime,rss,args --ppid $$; kill $(jobs -p)",
    "What is the process id of the worker for the queue named mail?",
    r"^ *\d+ .* worker --queue=mail --threads=4.*",
    works="command -v ps",
)
def _ps(folder: Path) -> None:
    queues = [
        f"{queue}-{region}"
        for queue in _QUEUES
        for region in ("eu", "us", "asia", "africa", "latam", "test", "dev")
    ]
    queues.insert(33, "mail")
    write(folder, {"queues": "\n".join(queues)})


@recipe(
    "python hold.py lsof -w -p",
    "Which log file does the server still hold open although it was deleted?",
    r".*/access\.log\.1 \(deleted\)",
    works="command -v lsof",
)
def _lsof(folder: Path) -> None:
    source = """
    import os
    import subprocess
    import sys

    opened = [open(f"logs/part-{i:02}.log", "w") for i in range(60)]
    opened.append(open("logs/access.log.1", "w"))
    os.unlink("logs/access.log.1")
    subprocess.run([*sys.argv[1:], str(os.getpid())], close_fds=True)
    """
    write(folder, {"hold.py": source, "logs/README": "logs\n"})


@recipe(
    "strace -f -e trace=openat ./start.sh",
    "Which configuration file does the script look for in vain?",
    r'.*"/etc/shop/site\.toml".* = -1 ENOENT.*',
    works="strace -o /dev/null true",
)
def _strace(folder: Path) -> None:
    write(
        folder, {"start.sh": "#!/bin/bash\nls parts > /dev/null\ncat /etc/shop/site.toml parts/*\n"}
    )
    write(folder, {f"parts/{queue}.txt": "x\n" for queue in _QUEUES})
    (folder / "start.sh").chmod(0o755)


@recipe(
    "cat /proc/meminfo",
    "How much room is left in the swap space?",
    r"^SwapFree: .*",
    works="test -r /proc/meminfo",
)
def _meminfo(folder: Path) -> None:
    """Need no file."""


@recipe(
    "sysctl net.ipv4.conf net.ipv4.tcp_rmem net.ipv4.ip_forward net.ipv4.neigh.default",
    "Does this machine route packets between networks?",
    r"^net\.ipv4\.ip_forward = \d",
    works="sysctl net.ipv4.ip_forward",
)
def _sysctl(folder: Path) -> None:
    """Need no file."""


@recipe(
    "dpkg -l 'lib[ab]*'",
    "Is the compression library bzip2 there, and which version?",
    r"^ii +libbz2-1\.0(?::\w+)? +\S+",
    works="dpkg -l libbz2-1.0",
)
def _dpkg_list(folder: Path) -> None:
    """Need no file."""


@recipe(
    "dpkg -s bash coreutils dpkg findutils grep tar",
    "Who maintains grep, and which version is it?",
    r"^Package: grep",
    r"^Package: grep\n(?:\S.*\n)*?(Maintainer: .*)",
    r"^Package: grep\n(?:\S.*\n| .*\n)*?(Version: .*)",
    works="dpkg -s bash coreutils dpkg findutils grep tar",
)
def _dpkg_status(folder: Path) -> None:
    """Need no file."""


@recipe(
    "dpkg -L coreutils | head -n 250",
    "Where is the program that splits a file by its content?",
    r"^/usr/bin/csplit",
    works="dpkg -s coreutils",
)
def _dpkg_files(folder: Path) -> None:
    """Need no file."""


@recipe("tar --help", "How do I leave out files that match a pattern?", r"^ +--exclude=PATTERN +.*")
def _tar_help(folder: Path) -> None:
    """Need no file."""


@recipe("curl --help all", "Can I cap the download speed?", r"^ +--limit-rate <speed> .*")
def _curl_help(folder: Path) -> None:
    """Need no file."""


@recipe(
    "man -P cat 1 cp",
    "How can I copy only what is newer than at the destination?",
    r"^ +-u\b.*--update.*",
    works="man -w cp",
)
def _man(folder: Path) -> None:
    """Need no file."""


@recipe(
    "bash -x deploy.sh",
    "Which database did the migration run against?",
    r"^\++ ?migrate --database orders_live --to 0042",
)
def _bash_trace(folder: Path) -> None:
    source = """
    copy() { local from=$1 to=$2; echo "copied $from to $to"; }
    migrate() { :; }
    for part in mail search exports webhooks refunds cart stock tax login; do
        name=site_$part
        copy build/$name.tar /opt/$name
        [ $part = exports ] && migrate --database orders_live --to 0042
        echo "restarted $name" | tr a-z A-Z
    done
    """
    write(folder, {"deploy.sh": source})


@recipe(
    "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -config req.cnf "
    "2>/dev/null; openssl x509 -in cert.pem -noout -text",
    "Which host names may use this certificate?",
    r"DNS:shop\.example\.org, DNS:www\.example\.org",
    works="command -v openssl",
)
def _certificate(folder: Path) -> None:
    settings = """
    [req]
    prompt = no
    distinguished_name = name
    x509_extensions = more
    [name]
    C = NL
    ST = Utrecht
    O = Acme Web Shops
    OU = Operations
    CN = Acme Shop
    emailAddress = ops@example.org
    [more]
    basicConstraints = critical,CA:false
    keyUsage = critical,digitalSignature,keyEncipherment
    extendedKeyUsage = serverAuth,clientAuth
    subjectAltName = DNS:shop.example.org,DNS:www.example.org
    certificatePolicies = 1.3.6.1.4.1.99999.1
    crlDistributionPoints = URI:http://crl.example.org/acme.crl
    nsComment = Made for a test
    """
    write(folder, {"req.cnf": settings})
