package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.samediff.GatheredTables;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Which trainable tables logits are gathered from, and why that is worth a warning. */
class GatheredTablesTest {

    private static final int V = 5;
    private static final int[] IDS = {1, 3, 1, 1};

    private static SameDiff model(boolean gathers, boolean constant) {
        SameDiff sd = SameDiff.create();
        INDArray numbers = Networks.normal(DataType.DOUBLE, new Random(1), V, 3);
        SDVariable table = constant ? sd.constant("table", numbers) : sd.var("table", numbers);
        SDVariable ids = sd.placeHolder("ids", DataType.INT32, -1);
        SDVariable rows = gathers
                ? sd.gather(table, ids, 0)
                : sd.oneHot(ids, V, -1, 1, 0, DataType.DOUBLE).mmul(table);
        SDVariable w = sd.var("w", Networks.normal(DataType.DOUBLE, new Random(2), 3, V));
        rows.mmul(w).rename("logits");
        sd.placeHolder("labels", DataType.INT32, -1);
        return sd;
    }

    @Test
    void a_trainable_table_is_found() {
        assertEquals(Set.of("table"), GatheredTables.of(model(true, false), "logits"));
        assertEquals(Set.of(), GatheredTables.of(model(true, true), "logits"));
        assertEquals(Set.of(), GatheredTables.of(model(false, false), "logits"));
        SameDiff scaled = SameDiff.create();
        SDVariable table = scaled.var("table", Nd4j.ones(V, 3)).mul(2);
        scaled.gather(table, scaled.placeHolder("ids", DataType.INT32, -1), 0).rename("logits");
        assertEquals(Set.of("table"), GatheredTables.of(scaled, "logits"));
        scaled.var("other", Nd4j.ones(3)).mul("unused", 1);
        assertEquals(Set.of(), GatheredTables.of(scaled, "unused"));
    }

    private static SameDiff withLoss(boolean gathers) {
        SameDiff sd = model(gathers, false);
        RetentionLoss.add(
                sd, "logits", "labels", RetentionConfiguration.builder().build());
        return sd;
    }

    private static Map<String, INDArray> batch() {
        return Map.of(
                "ids",
                Nd4j.createFromArray(IDS),
                "labels",
                Nd4j.createFromArray(IDS),
                RetentionLoss.TEACHER_LOGITS,
                Networks.normal(DataType.DOUBLE, new Random(3), IDS.length, V));
    }

    private static INDArray gradient(boolean gathers) {
        return withLoss(gathers).calculateGradients(batch(), "table").get("table");
    }

    /** By central differences; gather's own gradient is another where an id occurs more than once. */
    @Test
    void oneHot_and_mmul_have_the_right_gradient() {
        INDArray expected = Nd4j.create(DataType.DOUBLE, V, 3);
        double step = 1e-5;
        for (int i = 0; i < expected.length(); i++) {
            double difference = 0;
            for (int sign = -1; sign <= 1; sign += 2) {
                SameDiff sd = withLoss(false);
                INDArray table = sd.getVariable("table").getArr();
                table.putScalar(i, table.getDouble(i) + sign * step);
                difference += sign
                        * sd.output(batch(), RetentionLoss.LOSS)
                                .get(RetentionLoss.LOSS)
                                .getDouble(0);
            }
            expected.putScalar(i, difference / (2 * step));
        }
        assertClose(expected, gradient(false), 1e-7);
        Networks.assertMoved(expected, gradient(true), 1e-3);
    }
}
