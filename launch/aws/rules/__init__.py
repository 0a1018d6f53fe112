"""Rules between the members of a request, which the API's model does not hold; each names its source.

API: the documentation in botocore's model. Guide: SageMaker's developer guide, with the page. Each rule is a function from a
request, whose types and required members are right, to sentences.
"""
