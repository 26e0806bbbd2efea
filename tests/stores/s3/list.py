"""What a bucket has, by boto3, as JSON: objects with their size and number of parts, and
uploads in parts that are under way.

    list.py URL REGION ACCESS_KEY SECRET_KEY BUCKET
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main(url, region, access_key, secret_key, bucket):
    config = Config(s3={"addressing_style": "path"})
    s3 = boto3.client("s3", endpoint_url=url, region_name=region, config=config,
                      aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    objects = {}
    for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        try:
            head = s3.head_object(Bucket=bucket, Key=entry["Key"], PartNumber=1)
        except ClientError as error:
            # Removed since it was listed.
            if error.response["Error"]["Code"] == "404":
                continue
            raise
        objects[entry["Key"]] = {"size": entry["Size"], "parts": head.get("PartsCount", 1)}
    uploads = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    print(json.dumps({"objects": objects, "uploads": [upload["Key"] for upload in uploads]}))


main(*sys.argv[1:])
