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

    @Override
    public void repeat(int copies) {
        int[] only = sequences[0];
        sequences = new int[copies][];
        Arrays.setAll(sequences, i -> only.clone());
    }
}
