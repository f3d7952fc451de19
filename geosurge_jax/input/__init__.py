"""Records on disk -> host batches.

record.py      what one photo is
manifest.py    what a dataset directory holds: counts, sizes, hashes, class names, source
dataset.py     a dataset directory checked against its manifest, random access to its records
exif.py        which way up a photo is
images.py      the one decoder, and the exact resizer: evaluation's pixels, and training's where asked for
resampling.py  training's crops, decoded no larger than needed and resized by SIMD
plain_png.py   class maps in the form of PNG that is read fastest
geometry.py    boxes: RandomResizedCrop, centre crop, five and ten crops
photometric.py brightness, contrast, saturation, hue and grayscale noise
examples.py    one record -> one array dict, corrupt ones kept in place with mask 0
bad_records.py which records could not be read, and when to stop
pipeline.py    training batches (infinite, resumable, the same bits on any number of hosts)
evaluation.py  evaluation batches (finite, padded with a mask), from a split
files.py       the same from plain photo files
"""
