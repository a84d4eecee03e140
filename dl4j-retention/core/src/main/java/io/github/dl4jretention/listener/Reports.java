package io.github.dl4jretention.listener;

import io.github.dl4jretention.loss.TokenLoss;
import java.util.List;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** What both listeners do with a loss: they stop where it is not finite, and report it every so many iterations. */
record Reports(int every, boolean agreement, List<ReportSink> sinks) implements AutoCloseable {

    private static final long NORM_PART = 1 << 16;

    void start(int iteration) {
        sinks.forEach(sink -> sink.start(iteration));
    }

    boolean due(int iteration) {
        return iteration % every == 0;
    }

    /** Whether agreement is to be measured in an iteration. */
    boolean measureAgreement(int iteration) {
        return agreement && due(iteration);
    }

    void send(String name, TokenLoss loss, double temperature, int iteration, int epoch, double gradientNorm) {
        if (due(iteration)) {
            RetentionReport report = new RetentionReport(
                    iteration,
                    epoch,
                    name,
                    loss.tokens(),
                    loss.crossEntropy(),
                    loss.divergence(),
                    loss.factor() / (temperature * temperature),
                    loss.total(),
                    loss.agreement(),
                    gradientNorm);
            sinks.forEach(sink -> sink.accept(report));
        }
    }

    /**
     * In parts, summed in double: a sum of millions of squares in FLOAT loses up to a percent, one in HALF overflows
     * from 65,504 on.
     */
    static double norm2(INDArray gradient) {
        INDArray flat = gradient.reshape(-1);
        double sum = 0;
        for (long from = 0; from < flat.length(); from += NORM_PART) {
            INDArray part = flat.get(NDArrayIndex.interval(from, Math.min(from + NORM_PART, flat.length())));
            INDArray wide = part.dataType() == DataType.FLOAT16 ? part.castTo(DataType.FLOAT) : part;
            double norm = wide.norm2Number().doubleValue();
            sum += norm * norm;
        }
        return Math.sqrt(sum);
    }

    static boolean finite(TokenLoss loss, double gradientNorm) {
        return Double.isFinite(gradientNorm) && Double.isFinite(loss.sum());
    }

    static ArithmeticException notFinite(String name, TokenLoss loss, double gradientNorm) {
        return new ArithmeticException("loss of \"" + name + "\": expected finite numbers, got cross-entropy "
                + loss.crossEntropy() + ", divergence " + loss.divergence() + ", coefficient times T^2 " + loss.factor()
                + ", gradient norm " + gradientNorm
                + "; the parameters were not updated, a lower learning rate may help");
    }

    @Override
    public void close() {
        sinks.forEach(ReportSink::close);
    }
}
