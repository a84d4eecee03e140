package io.github.dl4jretention.lm;

import java.util.Arrays;

/** Steps of a model that keeps no state: it reads all tokens again for each new one. */
final class WholeSteps implements Steps {

    private final Generator.NextLogits model;
    private int[][] sequences = new int[0][];

    WholeSteps(Generator.NextLogits model) {
        this.model = model;
    }

    @Override
    public void read(int[][] ids) {
        if (sequences.length == 0) {
            sequences = new int[ids.length][0];
        }
        for (int i = 0; i < ids.length; i++) {
            int before = sequences[i].length;
            sequences[i] = Arrays.copyOf(sequences[i], before + ids[i].length);
            System.arraycopy(ids[i], 0, sequences[i], before, ids[i].length);
        }
    }

    @Override
    public float[][] next(int[][] ids) {
        read(ids);
        return model.next(sequences);
    }

    /** Tokens are all that is known. */
    private record Read(int[][] sequences) implements State {

        @Override
        public void close() {}
    }

    @Override
    public State state() {
        return new Read(sequences.clone());
    }

    @Override
    public void restore(State state, int[] rows) {
        int[][] read = ((Read) state).sequences();
        sequences = Arrays.stream(rows)
                .mapToObj(row -> read.length == 0 ? new int[0] : read[row])
                .toArray(int[][]::new);
    }
}
