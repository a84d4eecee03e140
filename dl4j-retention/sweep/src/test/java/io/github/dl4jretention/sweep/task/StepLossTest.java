package io.github.dl4jretention.sweep.task;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.SweepTexts;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.teacher.Teacher;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.arbiter.optimize.api.Candidate;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.ops.transforms.Transforms;

/** Truncated backpropagation makes an update for each segment; a step's loss is that of all of them. */
class StepLossTest {

    private static final DataType TYPE = DataType.DOUBLE;
    private static final MultiLayerNetwork TEACHER = Networks.moved(Networks.lstm(TYPE, 1), 0.3, 5);

    /** So small that all segments meet the pretrained weights. */
    private static final double RATE = 1e-200;

    private static TokenLoss firstStep(FinetuneModel model, FinetuneConfiguration candidate) throws Exception {
        List<TokenLoss> steps = new ArrayList<>();
        FinetuneObserver observer = new FinetuneObserver() {
            @Override
            public void onStep(int index, int step, int planned, TokenLoss loss) {
                steps.add(loss);
            }
        };
        FinetuneProblem problem = new FinetuneProblem(model, Teacher.of(TEACHER), SweepTexts.data(TYPE), new Adam(), 0);
        new FinetuneTaskCreator(problem, observer)
                .create(
                        new Candidate<>(candidate, 0, new double[0]),
                        null,
                        null,
                        RetentionScore.weighted(1),
                        List.of(),
                        null)
                .call();
        assertEquals(1, steps.size());
        return steps.get(0);
    }

    private static double sum(INDArray weights, INDArray logarithms) {
        return weights.mul(logarithms).sumNumber().doubleValue();
    }

    private static void assertOfAllSegments(FinetuneModel model, MultiLayerNetwork pretrained) throws Exception {
        MultiDataSet batch = SweepTexts.data(TYPE).training().iterator().next();
        INDArray student = Transforms.log(pretrained.output(batch.getFeatures(0)));
        INDArray teacher = TEACHER.output(batch.getFeatures(0));
        double crossEntropy = -sum(batch.getLabels(0), student);
        double divergence = sum(teacher, Transforms.log(teacher).sub(student));

        TokenLoss plain = firstStep(model, new FinetuneConfiguration(FinetuneMethod.PLAIN, null, RATE, 1, 1, -1));
        assertEquals(crossEntropy, plain.sum(), 1e-9);
        assertEquals(3 * Networks.TIME, plain.tokens());
        RetentionConfiguration near =
                RetentionConfiguration.builder().coefficient(2).build();
        TokenLoss retained =
                firstStep(model, new FinetuneConfiguration(FinetuneMethod.RETENTION, near, RATE, 1, 1, -1));
        assertEquals(divergence, retained.divergenceSum(), 1e-9);
        assertEquals(crossEntropy + 2 * divergence, retained.sum(), 1e-9);
    }

    @Test
    void of_a_network() throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(TYPE, 1);
        pretrained.getLayerWiseConfigurations().setBackpropType(BackpropType.TruncatedBPTT);
        pretrained.getLayerWiseConfigurations().setTbpttFwdLength(2);
        pretrained.getLayerWiseConfigurations().setTbpttBackLength(2);
        assertOfAllSegments(FinetuneModel.of(pretrained), Networks.lstm(TYPE, 1));
    }

    @Test
    void of_a_graph() throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(TYPE, 1);
        ComputationGraph graph = pretrained.toComputationGraph();
        graph.getConfiguration().setBackpropType(BackpropType.TruncatedBPTT);
        graph.getConfiguration().setTbpttFwdLength(2);
        graph.getConfiguration().setTbpttBackLength(2);
        assertOfAllSegments(FinetuneModel.of(graph), pretrained);
    }

    @Test
    void sums_by_hand() {
        TokenLoss one = new TokenLoss(2, 1, 3, 4, 5, 1);
        TokenLoss other = new TokenLoss(7, 3, 1, 6, 5, 2);
        TokenLoss sum = FinetuneModel.StepLoss.sum(one, other);
        assertEquals(new TokenLoss(9, 4, 1.5, 10, 10, 3), sum);
        assertEquals(one.sum() + other.sum(), sum.sum());
        TokenLoss untaught = new TokenLoss(2, Double.NaN, 0, 4, 4, Double.NaN);
        assertEquals(new TokenLoss(4, Double.NaN, 0, 8, 8, Double.NaN), FinetuneModel.StepLoss.sum(untaught, untaught));
    }
}
