"""What the S3 of the tests must be able to do, by boto3.

    s3.py round-trip URL REGION ACCESS_KEY SECRET_KEY BUCKET
"""

import random
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PART_BYTES = 5 << 20


def main(what, url, region, access_key, secret_key, bucket):
    assert what == "round-trip", what
    # The checksums that newer clients add are not known to every server.
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required")
    s3 = boto3.client("s3", endpoint_url=url, region_name=region, config=config,
                      aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    s3.create_bucket(Bucket=bucket)
    whole(s3, bucket)
    parts(s3, bucket)
    aborted(s3, bucket)
    s3.delete_bucket(Bucket=bucket)
    print("done")


def whole(s3, bucket):
    s3.put_object(Bucket=bucket, Key="whole", Body=b"0123456789")
    answer = s3.get_object(Bucket=bucket, Key="whole", Range="bytes=2-4")
    assert answer["Body"].read() == b"234"
    s3.delete_object(Bucket=bucket, Key="whole")


def parts(s3, bucket):
    data = random.Random(1).randbytes(2 * PART_BYTES + 1)
    at = {"Bucket": bucket, "Key": "parts"}
    upload = s3.create_multipart_upload(**at)["UploadId"]
    done = []
    for number, start in enumerate(range(0, len(data), PART_BYTES), 1):
        part = s3.upload_part(**at, UploadId=upload, PartNumber=number,
                              Body=data[start:start + PART_BYTES])
        done.append({"PartNumber": number, "ETag": part["ETag"]})
    etag = s3.complete_multipart_upload(**at, UploadId=upload,
                                        MultipartUpload={"Parts": done})["ETag"]
    assert s3.get_object(**at)["Body"].read() == data
    rest = s3.get_object(**at, Range=f"bytes={PART_BYTES - 1}-", IfMatch=etag)
    assert rest["ContentRange"] == f"bytes {PART_BYTES - 1}-{len(data) - 1}/{len(data)}"
    assert rest["Body"].read() == data[PART_BYTES - 1:]
    try:
        s3.get_object(**at, IfMatch='"other"')
    except ClientError as error:
        assert error.response["Error"]["Code"] == "PreconditionFailed", error
    else:
        raise AssertionError("another ETag was taken for the object's")
    s3.delete_object(**at)


def aborted(s3, bucket):
    at = {"Bucket": bucket, "Key": "aborted"}
    upload = s3.create_multipart_upload(**at)["UploadId"]
    s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"part")
    [left] = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert left["UploadId"] == upload
    s3.abort_multipart_upload(**at, UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


main(*sys.argv[1:])
