"""Runs moto, which answers as SNS, SQS and IAM do, on a loopback port, with authentication on.

Prints one line of JSON with its address, a key that may do all, a topic and a FIFO topic. From then on
each line of input is the name of one of them, and answered by one line of JSON: what a queue
behind it received. Ends with its input.
"""

import io
import json
import os
import sys
import threading
import urllib.request

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "1000000"

import boto3
from moto.iam.access_control import IAMRequestBase
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

# What is signed is the body as it was sent. moto looks at what it makes of the parsed form, where
# a blank is always "+", as botocore writes it; others write "%20".
sent = threading.local()
as_parsed = IAMRequestBase._create_aws_request


def as_sent(self):
    request = as_parsed(self)
    request.data = sent.body or request.data
    return request


IAMRequestBase._create_aws_request = as_sent


class KeepsBodies:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        sent.body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(sent.body)
        return self.app(environ, start_response)


app = KeepsBodies(DomainDispatcherApplication(create_backend_app))
server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"


def client(name, key="boot", secret="boot"):
    return boto3.client(
        name,
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


iam = client("iam")
iam.create_user(UserName="publisher")
policy = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
iam.put_user_policy(
    UserName="publisher", PolicyName="all", PolicyDocument=json.dumps(policy)
)
key = iam.create_access_key(UserName="publisher")["AccessKey"]
id, secret = key["AccessKeyId"], key["SecretAccessKey"]

sns, sqs = client("sns"), client("sqs")
queues = {}
topics = {}
for name in ["alerts", "alerts.fifo"]:
    fifo = {"FifoTopic": "true"} if name.endswith(".fifo") else {}
    topics[name] = sns.create_topic(Name=name, Attributes=fifo)["TopicArn"]
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    queues[name] = sqs.create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]
    arn = sqs.get_queue_attributes(
        QueueUrl=queues[name], AttributeNames=["QueueArn"]
    )["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topics[name], Protocol="sqs", Endpoint=arn)

on = urllib.request.Request(
    url + "/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
)
urllib.request.urlopen(on).read()
print(json.dumps({"url": url, "key": id, "secret": secret, "topics": topics}), flush=True)

sqs = client("sqs", id, secret)
for line in sys.stdin:
    found = sqs.receive_message(
        QueueUrl=queues[line.strip()],
        MaxNumberOfMessages=10,
        AttributeNames=["All"],
    )
    print(
        json.dumps(
            [
                {"body": json.loads(m["Body"]), "attributes": m["Attributes"]}
                for m in found.get("Messages", [])
            ]
        ),
        flush=True,
    )
