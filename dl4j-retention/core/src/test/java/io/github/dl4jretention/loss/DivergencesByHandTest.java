package io.github.dl4jretention.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import java.util.Map;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * Divergences of two classes, worked by hand, on every path. The teacher says (0.5, 0.5), the student (0.25, 0.75); for
 * Jensen-Shannon the mixture is {@code beta p0 + (1 - beta) p}.
 */
class DivergencesByHandTest {

    private static final double[] TEACHER = {0.5, 0.5};
    private static final double[] STUDENT = {0.25, 0.75};

    private static INDArray rows(DataType type, double[] probabilities) {
        return Nd4j.createFromArray(new double[][] {
                    {Math.log(probabilities[0]), Math.log(probabilities[1])},
                    {Math.log(probabilities[0]), Math.log(probabilities[1])}
                })
                .castTo(type);
    }

    /** Of two examples, whose labels are class 0; the loss is the mean over examples. */
    private static double bySameDiff(DataType type, RetentionConfiguration conf) {
        SameDiff sd = SameDiff.create();
        sd.var("parameter", rows(type, STUDENT)).mul("logits", 1);
        sd.placeHolder("labels", DataType.INT32, -1);
        RetentionLoss.add(sd, "logits", "labels", conf);
        Map<String, INDArray> batch =
                Map.of("labels", Nd4j.createFromArray(0, 0), RetentionLoss.TEACHER_LOGITS, rows(type, TEACHER));
        return sd.output(batch, RetentionLoss.LOSS).get(RetentionLoss.LOSS).getDouble(0);
    }

    /** The student's logits are its bias. */
    private static double byNetwork(DataType type, RetentionConfiguration conf) {
        MultiLayerNetwork network = Networks.stacked(
                type,
                1,
                new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(1)
                        .nOut(2)
                        .activation(Activation.SOFTMAX)
                        .build());
        network.getLayer(0).getParam("W").assign(0);
        network.getLayer(0).getParam("b").assign(rows(type, STUDENT).getRow(0, true));
        MultiLayerNetwork student = Retention.attach(network, conf);
        INDArray labels = PackedLabels.of(Nd4j.zeros(type, 2, 1), rows(type, TEACHER));
        return student.score(new DataSet(Nd4j.ones(type, 2, 1), labels), false);
    }

    /**
     * {@code 0.3 [0.5 ln(0.5 / 0.325) + 0.5 ln(0.5 / 0.675)] + 0.7 [0.25 ln(0.25 / 0.325) + 0.75 ln(0.75 / 0.675)]} is
     * 0.029002273, and so on.
     */
    @ParameterizedTest
    @CsvSource({
        "FORWARD_KL, 0.5, 0.143841036",
        "REVERSE_KL, 0.5, 0.130812036",
        "JENSEN_SHANNON, 0.5, 0.033822076",
        "JENSEN_SHANNON, 0.3, 0.029002273",
        "JENSEN_SHANNON, 0.7, 0.027951039"
    })
    void the_values_of_two_classes(Divergence divergence, double beta, double expected) {
        double byFormula =
                switch (divergence) {
                    case FORWARD_KL -> kullbackLeibler(TEACHER, STUDENT);
                    case REVERSE_KL -> kullbackLeibler(STUDENT, TEACHER);
                    case JENSEN_SHANNON -> {
                        double[] mixture = {
                            beta * TEACHER[0] + (1 - beta) * STUDENT[0], beta * TEACHER[1] + (1 - beta) * STUDENT[1]
                        };
                        yield beta * kullbackLeibler(TEACHER, mixture) + (1 - beta) * kullbackLeibler(STUDENT, mixture);
                    }
                };
        assertEquals(expected, byFormula, 1e-9);
        double coefficient = 3;
        RetentionConfiguration conf = RetentionConfiguration.builder()
                .divergence(divergence)
                .beta(beta)
                .coefficient(coefficient)
                .build();
        double loss = -Math.log(0.25) + coefficient * byFormula;
        for (DataType type : new DataType[] {DataType.FLOAT, DataType.DOUBLE}) {
            double tolerance = type == DataType.FLOAT ? 2e-6 : 1e-12;
            assertEquals(loss, bySameDiff(type, conf), tolerance, type + " SameDiff");
            assertEquals(loss, byNetwork(type, conf), tolerance, type + " network");
        }
    }

    private static double kullbackLeibler(double[] p, double[] q) {
        return p[0] * Math.log(p[0] / q[0]) + p[1] * Math.log(p[1] / q[1]);
    }
}
