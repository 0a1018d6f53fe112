"""Rules between the members of a request that are not in the API's model. Each rule names its source.

API: the documentation in botocore's model. Guide: SageMaker's developer guide, with the page. Each rule is a function that gets
a request with correct types and all required members, and yields a sentence for each problem.
"""
