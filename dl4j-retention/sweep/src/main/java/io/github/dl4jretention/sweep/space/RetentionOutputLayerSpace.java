package io.github.dl4jretention.sweep.space;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import java.util.List;
import java.util.Objects;
import org.deeplearning4j.arbiter.layers.LayerSpace;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;
import org.deeplearning4j.arbiter.optimize.parameter.FixedValue;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.jspecify.annotations.Nullable;

/**
 * A {@link RetentionOutputLayer} whose loss is searched, for Arbiter's own MultiLayerSpace and ComputationGraphSpace.
 * Their candidates start from random weights; to start from a pretrained model, use {@link
 * io.github.dl4jretention.sweep.task.FinetuneSpace}.
 */
public final class RetentionOutputLayerSpace extends LayerSpace<RetentionOutputLayer> {

    private ParameterSpace<RetentionConfiguration> retention;
    private @Nullable ParameterSpace<Integer> nIn;
    private ParameterSpace<Integer> nOut;
    private boolean hasBias;
    private @Nullable RNNFormat dataFormat;

    /** For JSON. */
    @SuppressWarnings("NullAway.Init")
    private RetentionOutputLayerSpace() {}

    private RetentionOutputLayerSpace(Builder builder) {
        super(builder);
        retention = Objects.requireNonNull(builder.retention, "retention");
        nIn = builder.nIn;
        nOut = Objects.requireNonNull(builder.nOut, "nOut");
        hasBias = builder.hasBias;
        dataFormat = builder.dataFormat;
        numParameters = Leaves.count(List.of(this));
    }

    @Override
    public RetentionOutputLayer getValue(double[] values) {
        RetentionOutputLayer.Builder builder = new RetentionOutputLayer.Builder(retention.getValue(values))
                .nOut((long) Leaves.number(nOut, values))
                .hasBias(hasBias)
                .dataFormat(dataFormat);
        if (nIn != null) {
            builder.nIn((long) Leaves.number(nIn, values));
        }
        setLayerOptionsBuilder(builder, values);
        return builder.build();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RetentionOutputLayerSpace that
                && getNestedSpaces().equals(that.getNestedSpaces())
                && hasBias == that.hasBias
                && dataFormat == that.dataFormat;
    }

    @Override
    public boolean canEqual(Object other) {
        return other instanceof RetentionOutputLayerSpace;
    }

    @Override
    public int hashCode() {
        return Objects.hash(getNestedSpaces(), hasBias);
    }

    @Override
    public String toString() {
        return "RetentionOutputLayerSpace(" + getNestedSpaces() + ", hasBias=" + hasBias + ", dataFormat=" + dataFormat
                + ")";
    }

    /** Builds a {@link RetentionOutputLayerSpace}. */
    public static final class Builder extends LayerSpace.Builder<Builder> {

        private ParameterSpace<RetentionConfiguration> retention;
        private @Nullable ParameterSpace<Integer> nIn;
        private @Nullable ParameterSpace<Integer> nOut;
        private boolean hasBias = true;
        private @Nullable RNNFormat dataFormat;

        /** @param retention the loss */
        public Builder(RetentionSpace retention) {
            this.retention = retention;
        }

        /**
         * @param nIn size of the input; default: from the network's input type
         * @return this builder
         */
        public Builder nIn(int nIn) {
            this.nIn = new FixedValue<>(nIn);
            return this;
        }

        /**
         * @param nOut size of the vocabulary, at least 2; required
         * @return this builder
         */
        public Builder nOut(int nOut) {
            this.nOut = new FixedValue<>(nOut);
            return this;
        }

        /**
         * @param hasBias whether there is a bias; default true
         * @return this builder
         */
        public Builder hasBias(boolean hasBias) {
            this.hasBias = hasBias;
            return this;
        }

        /**
         * @param dataFormat layout of sequences; default: from the network's input type, else {@code [batch, nIn]}
         * @return this builder
         */
        public Builder dataFormat(RNNFormat dataFormat) {
            this.dataFormat = dataFormat;
            return this;
        }

        /** @throws NullPointerException if nOut was not set */
        @Override
        @SuppressWarnings({"unchecked", "rawtypes"})
        public <E extends LayerSpace> E build() {
            return (E) new RetentionOutputLayerSpace(this);
        }
    }
}
