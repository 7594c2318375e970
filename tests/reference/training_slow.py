"""What training computes, again and slowly: one image, one anchor, one pixel at a time, in float64.

Written from the papers that the code cites, without its vectors.
"""

import math


def iou(first, second):
    """Return the IoU of two boxes xyxy."""
    wide = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    high = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    union = sum(areas) - wide * high
    return wide * high / union if union > 0 else 0.0


def complete_iou(first, second):
    """Return Zheng et al. 2020's CIoU of two boxes xyxy."""
    overlap = iou(first, second)
    centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in (first, second)]
    far = sum((p - q) ** 2 for p, q in zip(*centres, strict=True))
    wide = max(first[2], second[2]) - min(first[0], second[0])
    high = max(first[3], second[3]) - min(first[1], second[1])
    angles = [math.atan((b[2] - b[0]) / (b[3] - b[1])) for b in (first, second)]
    aspect = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    weight = aspect / (1 - overlap + aspect) if aspect else 0.0
    return overlap - far / (wide**2 + high**2) - weight * aspect


def matches(boxes, anchors_xyxy, threshold=0.5):
    """Return for each anchor the box that it learns, or -1: Liu et al. 2016, section 2.2."""
    table = [[iou(box, anchor) for anchor in anchors_xyxy] for box in boxes]
    owner = [-1] * len(anchors_xyxy)
    for column in range(len(anchors_xyxy)):
        best = max(range(len(boxes)), key=lambda row: table[row][column], default=-1)
        if best >= 0 and table[best][column] >= threshold:
            owner[column] = best
    pairs = sorted(
        (-table[row][column], row, column) for row in range(len(boxes))
         for column in range(len(anchors_xyxy)) if table[row][column] > 0
    )  # fmt: skip
    rows, columns = set(), set()
    for _, row, column in pairs:
        if row not in rows and column not in columns:
            owner[column] = row
            rows.add(row)
            columns.add(column)
    return owner


def logistic(value):
    """Return 1 / (1 + exp(-value))."""
    return 1 / (1 + math.exp(-value))


def binary(logit, wanted):
    """Return the binary cross-entropy of one logit."""
    share = logistic(logit)
    return -(wanted * math.log(share) + (1 - wanted) * math.log(1 - share))


def smooth_l1(value):
    """Return Girshick 2015, eq. 3."""
    return 0.5 * value**2 if abs(value) < 1 else abs(value) - 0.5


def multibox(boxes, scores, offsets, classes, *, softmax):
    """Return the class and box losses of a batch: Liu et al. 2016, eq. 1 to 3.

    Scores are logits a class (sigmoid), or shares with the background first (softmax).
    """
    count = max(1, sum(one >= 0 for row in classes for one in row))
    entropy = place = 0.0
    for image, wanted in enumerate(classes):
        each = []
        for anchor, one in enumerate(wanted):
            row = scores[image][anchor]
            if softmax:
                each.append(-math.log(row[one + 1 if one >= 0 else 0]))
            else:
                each.append(sum(binary(value, float(k == one)) for k, value in enumerate(row)))
        own = [at for at, one in enumerate(wanted) if one >= 0]
        free = sorted((at for at, one in enumerate(wanted) if one == -1), key=lambda at: -each[at])
        entropy += sum(each[at] for at in own + free[: max(3 * len(own), 10)])
        place += sum(
            smooth_l1(boxes[image][at][side] - offsets[image][at][side])
            for at in own for side in range(4)
        )  # fmt: skip
    return entropy / count, place / count


def masks(scores, wanted, *, void=255):
    """Return cross-entropy and 1 - Dice of logits (B, H, W, C)."""
    entropy, judged = 0.0, 0
    classes = len(scores[0][0][0])
    both, sums = [0.0] * classes, [0.0] * classes
    for image, rows in enumerate(wanted):
        for y, row in enumerate(rows):
            for x, one in enumerate(row):
                if one == void:
                    continue
                logits = scores[image][y][x]
                total = sum(math.exp(value) for value in logits)
                shares = [math.exp(value) / total for value in logits]
                entropy -= math.log(shares[one])
                judged += 1
                for k in range(classes):
                    both[k] += shares[k] * (k == one)
                    sums[k] += shares[k] + (k == one)
    dice = sum((2 * b + 1) / (s + 1) for b, s in zip(both, sums, strict=True)) / classes
    return entropy / max(judged, 1), 1 - dice
