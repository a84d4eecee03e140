package io.github.dl4jretention.loss.samediff;

import org.nd4j.autodiff.samediff.SDIndex;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Labels of a SameDiff graph, class ids or distributions, which only a batch tells apart.
 *
 * @param distributions finite, {@code [tokens, V]}
 * @param counts        0 for a distribution that is all zero, which is padding, else 1, {@code [tokens, 1]}
 * @param wrong         1 for an id of no class and for values that aren't finite, else 0, {@code [tokens, 1]}
 */
public record LabelRows(SDVariable distributions, SDVariable counts, SDVariable wrong) {

    /**
     * {@return the labels of the logits' rows}
     *
     * @param labels of the logits' type: {@code [...]}, {@code [..., 1]} or {@code [..., V]}
     * @param logits {@code [tokens, V]}
     */
    public static LabelRows of(SameDiff sd, SDVariable labels, SDVariable logits) {
        DataType type = labels.dataType();
        SDVariable minusOne = sd.constant(Nd4j.scalar(DataType.INT64, -1));
        SDVariable one = sd.constant(Nd4j.scalar(DataType.INT64, 1));
        SDVariable rows = sd.reshape(
                SameDiffTokenLoss.bounded(sd, SameDiffTokenLoss.numbers(sd, labels)),
                sd.stack(0, sd.sizeAt(logits, 0), minusOne));
        SDVariable classes = sd.range(
                        sd.constant(Nd4j.scalar(DataType.INT64, 0)), sd.sizeAt(logits, 1), one, DataType.INT64)
                .reshape(1, -1);
        SDVariable firstColumn = rows.get(SDIndex.all(), SDIndex.interval(0, 1));
        SDVariable oneHot = sd.eq(firstColumn.castTo(DataType.INT64), classes).castTo(type);
        // Of the two forms the one that it isn't is multiplied by 0.
        SDVariable areIds = sd.eq(sd.sizeAt(rows, 1), one).castTo(type);
        SDVariable distributions = oneHot.mul(areIds).add(rows.mul(areIds.rsub(1)));
        SDVariable sums = sd.math.abs(distributions).sum(true, 1);
        SDVariable empty = sd.eq(sums, 0).castTo(type);
        SDVariable noNumber = sd.gte(sums, SameDiffTokenLoss.BOUND).castTo(type);
        return new LabelRows(
                distributions,
                empty.mul(areIds.rsub(1)).rsub(1),
                empty.mul(areIds).add(noNumber));
    }
}
