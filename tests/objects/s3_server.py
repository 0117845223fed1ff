"""A server with S3's protocol that checks signatures (moto, with its authentication on).

Puts every file of a directory into the bucket `contexts`, and prints one line of JSON: its address and
the keys of a user who may read. Ends when standard input ends.
"""

import json
import os
import sys

import boto3
from moto import settings
from moto.server import ThreadedMotoServer

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


def main(directory):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    # Nobody is checked before there is a user.
    first = {
        "endpoint_url": address,
        "region_name": "us-east-1",
        "aws_access_key_id": "first",
        "aws_secret_access_key": "first",
    }
    iam = boto3.client("iam", **first)
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=json.dumps(POLICY))
    keys = iam.create_access_key(UserName="reader")["AccessKey"]
    s3 = boto3.client("s3", **first)
    s3.create_bucket(Bucket="contexts")
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as file:
            s3.put_object(Bucket="contexts", Key=f"some/where/{name}", Body=file.read())
    # From here on everybody is.
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0.0
    line = {"address": address, "id": keys["AccessKeyId"], "secret": keys["SecretAccessKey"]}
    print(json.dumps(line), flush=True)
    sys.stdin.read()
    server.stop()


main(sys.argv[1])
